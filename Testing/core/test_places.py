"""Where a user's files lie."""

from pathlib import Path

import pytest

from NativeDLLib.core.places import KEPT, kept


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_for_a_user_lies_in_one_folder(name):
    assert kept(name) == Path.home() / ".nativedl" / name


@pytest.mark.parametrize("name", [name for name, row in KEPT.items() if row.variable])
def test_a_variable_names_another_place(name, monkeypatch):
    monkeypatch.setenv(KEPT[name].variable, "~/elsewhere")
    assert kept(name) == Path.home() / "elsewhere"
    monkeypatch.setenv(KEPT[name].variable, "")
    assert kept(name) == Path.home() / ".nativedl" / name
