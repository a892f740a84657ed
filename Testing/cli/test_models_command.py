"""``nativedl models``: listing, showing, checking, ranking."""

import json

import factories
import pytest
from tools import nativedl


@pytest.mark.parametrize("command", [["models"], ["models", "list"]])
def test_models_are_listed(registry, command, capsys):
    assert nativedl(*command, registry=registry) == 0

    assert "bright" in capsys.readouterr().out


def test_a_model_is_shown_whole(registry, capsys):
    assert nativedl("models", "show", "bright", registry=registry) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["intended_use"]) == ("bright", "Tests.")
    assert shown["input"]["modality"] == "CT"


def test_an_unknown_model_lists_the_known(registry, capsys):
    assert nativedl("models", "show", "dark", registry=registry) == 4

    assert "bright" in capsys.readouterr().err


def test_a_right_registry_is_said_to_be_right(registry, capsys):
    assert nativedl("models", "check", registry) == 0

    assert "1 model(s), no errors" in capsys.readouterr().out


def test_a_wrong_registry_names_file_entry_and_field(tmp_path, capsys):
    entry = factories.entry()
    entry["input"]["spacing"] = [1, 2]
    registry = factories.registry(tmp_path, entry)

    assert nativedl("models", "check", registry) == 4

    assert f"{registry}: models[0] (bright).input.spacing" in capsys.readouterr().err


def test_weights_that_are_not_what_the_registry_means_are_refused(registry, capsys):
    weights = registry.parent / "bright.onnx"
    weights.write_bytes(weights.read_bytes() + b"\0")

    assert nativedl("models", "check", registry) == 4
    assert "is not the file that the registry means" in capsys.readouterr().err


def test_models_are_ranked_for_a_series_with_reasons(tmp_path, registry, capsys):
    factories.ct_series(tmp_path / "series")

    assert nativedl("models", "fit", "--input", tmp_path / "series", registry=registry) == 0

    assert "bright: fits: CT as wanted; BodyPartExamined is ABDOMEN" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["models"], ["models", "show", "bright"], ["models", "check", "FILE"]])
def test_programs_get_one_json_line(registry, command, capsys):
    command = [registry if word == "FILE" else word for word in command]

    assert nativedl(*command, "--events", registry=registry) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["event"] == "result"
