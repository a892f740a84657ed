"""A model that is yet to be fetched: shown everywhere, chosen nowhere, and one command away."""

import json

import factories
import pytest
from remote_model import fetch
from tools import nativedl

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry import load_models, rank, select
from NativeDLLib.registry.select import Described

FIRST = "its weights are to be fetched first"


class Abdomen(Described):
    def text(self, keyword):
        return {"Modality": "CT", "BodyPartExamined": "ABDOMEN"}.get(keyword, "")


@pytest.fixture
def models(registry, monkeypatch):
    """The model that is at the site, and one that is here and fits as well."""
    here = factories.registry(registry.parent / "here")
    monkeypatch.setenv("NATIVEDL_REGISTRY", f"{registry}:{here}")
    return load_models()


def test_it_is_never_chosen_and_the_ranking_says_what_to_type(models):
    few = {name: models[name] for name in ("remote", "bright")}

    assert select(few, Abdomen())[0].id == "bright"
    assert rank(few.values(), Abdomen())[1].reasons[-1] == FIRST


def test_where_nothing_else_fits_the_message_says_what_to_type(models):
    with pytest.raises(ModelError, match=f"no model fits this series. remote: .*; {FIRST}$"):
        select({"remote": models["remote"]}, Abdomen())


def test_one_that_does_not_fit_comes_after_those_that_are_here(models):
    class Head(Described):
        def text(self, keyword):
            return {"Modality": "CT", "BodyPartExamined": "HEAD"}.get(keyword, "")

    ranking = rank(models.values(), Head())

    assert not any(candidate.fits for candidate in ranking)
    assert {c.model.id for c in ranking[:3]} == {"bright", "liver-ct-demo", "vertebra-ct-demo"}
    assert not any("fetched" in reason for candidate in ranking for reason in candidate.reasons)


def test_a_run_that_names_it_ends_with_the_command_to_type(models, tmp_path, capsys):
    factories.ct_series(tmp_path / "s")

    assert nativedl("run", "--input", tmp_path / "s", "--model", "remote", "--output", tmp_path / "out") == 4

    assert (
        capsys.readouterr().err
        == f"nativedl: error: model remote: {FIRST}; fetch them with: nativedl models fetch remote\n"
    )
    assert not (tmp_path / "out").exists()


def test_lists_say_that_it_is_to_be_fetched(models, registry, capsys):
    nativedl("models")
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("remote"))
    nativedl("models", "--events")
    listed = {m["id"]: m["to_be_fetched"] for m in json.loads(capsys.readouterr().out)["models"]}
    nativedl("models", "check", registry)

    assert row.endswith(f"({registry}, to be fetched)")
    assert listed["remote"]
    assert not listed["bright"]
    assert "remote: right (to be fetched)" in capsys.readouterr().out


def test_the_panel_is_told_that_it_cannot_run_yet_and_why(models, tmp_path, capsys):
    factories.ct_series(tmp_path / "s")

    nativedl("inspect", "--input", tmp_path / "s", "--events")

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    remote = next(model for model in result["models"] if model["id"] == "remote")
    assert remote["problem"] == f"model remote: {FIRST}"
    assert remote["to_be_fetched"]
    assert not remote["fits"]
    assert result["models"][0]["fits"]


def test_what_was_fetched_is_preferred_to_what_fits_as_well(models, registry):
    fetch(registry, "--yes")

    model, reasons, _ = select(models, Abdomen())

    assert model.id == "remote"
    assert reasons == ["CT as wanted", "BodyPartExamined is ABDOMEN"]
