import json
import os

import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.places import resources_folder
from NativeDLLib.registry import find_model, load_models, load_registry
from NativeDLLib.registry.load import registry_files


def changed(path, value):
    """Return the factory's entry with one place changed, as in ``output.segments.0.color``; ... removes it."""
    entry = json.loads(json.dumps(factories.entry()))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    here = entry
    for step in steps:
        here = here[step]
    if value is ...:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value
    return entry


def refusal(folder, *entries):
    path = factories.registry(folder, *entries)
    with pytest.raises(ModelError) as caught:
        load_registry(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_an_entry_says_everything_a_tool_needs(tmp_path):
    (model,) = load_registry(factories.registry(tmp_path))

    assert model.tool_name == "bright 1.2.3"
    assert model.registry == tmp_path / "registry.json"
    assert model.input.spacing == (1.5, 1.0, 1.0)
    assert model.input.patch_size == (16, 16, 16)
    assert model.input.channels[0].clip == (-200, 400)
    assert [channel.name for channel in model.input.channels] == ["CT"]
    assert model.segments[0].number == 1
    assert model.segments[0].type.meaning == "Liver"
    assert [parameter.name for parameter in model.parameters] == ["step", "min_volume"]


@pytest.mark.parametrize(
    ("path", "value", "field", "wrong"),
    [
        ("title", ..., "models[1] (bright)", "'title' is missing"),
        ("color", "red", "models[1] (bright)", "'color' is not known here"),
        ("id", "Bright Block", "models[1] (Bright Block).id", "does not match"),
        ("id", "bright\n", "models[1] (bright ).id", "does not match"),
        ("title", "Two\nlines", "models[1] (bright).title", "does not match"),
        ("title", "One line\n", "models[1] (bright).title", "does not match"),
        ("title", "x" * 65, "models[1] (bright).title", "is too long"),
        ("title", "back\\slash", "models[1] (bright).title", "does not match"),
        ("version", 1.2, "models[1] (bright).version", "1.2 is not of type 'string'"),
        ("runtime", "tensorflow", "models[1] (bright).runtime", "'tensorflow' is not one of"),
        ("input.modality", "US", "models[1] (bright).input.modality", "'US' is not one of"),
        ("input.spacing", [1, 1], "models[1] (bright).input.spacing", "[1, 1] is too short"),
        ("input.spacing", [1, 0, 1], "models[1] (bright).input.spacing[1]", "0 is less than the minimum"),
        ("input.spacing", ..., "models[1] (bright).input", "'spacing' is missing"),
        ("input.orientation", "LPL", "models[1] (bright).input.orientation", "does not match"),
        ("input.patch_size", [16, 16, 1.5], "models[1] (bright).input.patch_size[2]", "1.5 is not of type 'integer'"),
        ("input.channels", [], "models[1] (bright).input.channels", "[] should be non-empty"),
        ("input.intensity.normalization", "z", "models[1] (bright).input.intensity.normalization", "'z'"),
        ("input.channels.0.series", "other", "models[1] (bright).input.channels[0].series", "'other' is not 'same'"),
        ("input.body_parts.0", "liver", "models[1] (bright).input.body_parts[0]", "'liver' does not match"),
        ("output.segments", [], "models[1] (bright).output.segments", "[] should be non-empty"),
        ("output.segments.0.label", 0, "models[1] (bright).output.segments[0].label", "0 is less than"),
        ("output.segments.0.color", [0, 0, 256], "models[1] (bright).output.segments[0].color[2]", "256 is greater"),
        ("output.segments.0.type.value", "", "models[1] (bright).output.segments[0].type.value", "does not match"),
        ("output.segments.0.region_modifier", {}, "models[1] (bright).output.segments[0]", "region"),
        ("weights.sha256", "0" * 63, "models[1] (bright).weights.sha256", "does not match"),
        ("weights.sha256", ..., "models[1] (bright).weights", "'sha256' is missing"),
        ("weights.file", "../bright.onnx", "models[1] (bright).weights.file", "does not match"),
        ("weights.file", "/etc/passwd", "models[1] (bright).weights.file", "does not match"),
        ("weights.file", "a/../../b", "models[1] (bright).weights.file", "does not match"),
        ("weights.file", "C:\\weights", "models[1] (bright).weights.file", "does not match"),
        ("weights.url", "http://example.org/x", "models[1] (bright).weights.url", "does not match"),
        ("weights.folder", "fold", "models[1] (bright).weights", "or in several, of the forms"),
        ("postprocessing.0.step", "smooth", "models[1] (bright).postprocessing[0].step", "'smooth' is not one of"),
        ("postprocessing.0.min_ml", ..., "models[1] (bright).postprocessing[0]", "'min_ml' is missing"),
        ("parameters.0.type", "text", "models[1] (bright).parameters[0].type", "'text' is not one of"),
        ("parameters.0.minimum", ..., "models[1] (bright).parameters[0]", "'minimum' is missing"),
        ("parameters.0.default", "0.5", "models[1] (bright).parameters[0].default", "'0.5' is not of type 'number'"),
        ("parameters.0.default", True, "models[1] (bright).parameters[0].default", "True is not of type 'number'"),
        ("sliding_window.mirror_axes", [3], "models[1] (bright).sliding_window.mirror_axes[0]", "3 is greater"),
        ("evaluation", [{"data": "x", "cases": 0}], "models[1] (bright).evaluation[0].cases", "0 is less than"),
    ],
)
def test_what_the_schema_forbids_is_named_with_file_entry_and_field(tmp_path, path, value, field, wrong):
    message = refusal(tmp_path, factories.entry(id="right"), changed(path, value))

    assert message.startswith(f"{field}: ")
    assert wrong in message


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("[]", "top level: [] is not of type 'object'"),
        ('{"models": []}', "top level: 'schema_version' is missing"),
        ('{"schema_version": "2.0", "models": []}', "schema_version: '2.0' is not '1.0'"),
        ('{"schema_version": "1.0", "models": [7]}', "models[0]: 7 is not of type 'object'"),
        ('{"schema_version": "1.0", "models": [', "line 1 column"),
        ('{"schema_version": "1.0", "models": [], "models": []}', "the key 'models' is there twice"),
    ],
)
def test_what_is_no_registry_is_named_with_its_file(tmp_path, content, wrong):
    path = tmp_path / "registry.json"
    path.write_text(content)

    with pytest.raises(ModelError) as caught:
        load_registry(path)

    assert str(caught.value).startswith(f"{path}: {wrong}")


def boolean(name, default, **more):
    return {"name": name, "type": "boolean", "default": default, "label": "L", "help": "H", **more}


SECOND_SEGMENT = factories.entry()["output"]["segments"][0] | {"label": 2, "name": "Spleen"}


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        ("output.segments.1", SECOND_SEGMENT | {"label": 1}, ".output.segments: two segments have the same label"),
        ("output.segments.1", SECOND_SEGMENT | {"name": "Liver"}, ".output.segments: two segments have the same name"),
        ("output.segments.1", SECOND_SEGMENT, ".output: label 2 is beyond the 2 channels"),
        ("input.intensity.clip", [5, 5], ".input.intensity.clip: the lower bound is not below the upper"),
        ("input.intensity", ..., ".input.intensity: is missing, and channels[0] has none of its own"),
        (
            "input.channels.0.intensity",
            {"clip": [5, 4], "normalization": "none"},
            ".input.channels[0].intensity.clip: the lower bound is not below the upper",
        ),
        ("parameters.0.default", 2, ".parameters[0] (step).default: 2 is not within 0.25 to 1"),
        ("parameters.0.minimum", 2, ".parameters[0] (step): minimum 2 is above maximum 1"),
        ("parameters.1.name", "step", ".parameters: two parameters have the same name"),
        ("sliding_window.step.parameter", "stride", ".sliding_window.step: there is no parameter 'stride'"),
        ("sliding_window.mirror", {"parameter": "step"}, ".sliding_window.mirror: parameter 'step' is not of type"),
        ("sliding_window.step", 0, ".sliding_window.step: must be above 0 and at most 1"),
        ("sliding_window.step", 1.5, ".sliding_window.step: must be above 0 and at most 1"),
        ("sliding_window.step.parameter", "min_volume", ".sliding_window.step: must be above 0 and at most 1"),
        ("postprocessing.0.min_ml.parameter", "x", ".postprocessing[0].min_ml: there is no parameter 'x'"),
        ("postprocessing.0.enabled", {"parameter": "step"}, ".postprocessing[0].enabled: parameter 'step' is not of"),
        ("postprocessing.0.labels", [1, 4], ".postprocessing[0].labels: no segment has label 4"),
        ("card", "card.md", ".card: "),
    ],
)
def test_what_the_schema_cannot_see_is_named_with_file_entry_and_field(tmp_path, path, value, wrong):
    message = refusal(tmp_path, factories.entry(id="right"), changed(path, value))

    assert message.startswith(f"models[1] (bright){wrong}")


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        (boolean("mirror", "no"), "default: 'no' is not of type 'boolean'"),
        (boolean("mirror", 1), "default: 1 is not of type 'boolean'"),
        (boolean("mirror", True, minimum=0), "minimum: is not allowed here"),
        (boolean("mode", "slow") | {"type": "choice", "choices": ["fast", "best"]}, "default: 'slow' is not one of"),
        (boolean("mode", "fast") | {"type": "choice"}, "'choices' is missing"),
        (boolean("n", 1.5) | {"type": "integer", "minimum": 0, "maximum": 3}, "default: 1.5 is not"),
    ],
)
def test_a_default_that_its_own_parameter_does_not_accept_is_refused(tmp_path, parameter, wrong):
    message = refusal(tmp_path, changed("parameters.2", parameter))

    assert message.startswith("models[0] (bright).parameters[2]")
    assert wrong in message


def test_two_entries_with_one_id_are_refused(tmp_path):
    assert refusal(tmp_path, factories.entry(), factories.entry()) == "models[1] (bright).id: is there twice"


def test_the_bundled_registry_is_right():
    models = load_models()

    assert models
    assert {model.registry for model in models.values()} == {resources_folder() / "registry.json"}
    assert all(model.card is not None and model.card.is_file() for model in models.values())


def home():
    return os.path.expanduser("~")


def test_registries_stack_and_a_later_one_overrides_an_id_of_an_earlier_one(tmp_path, monkeypatch):
    bundled = "liver-ct-demo"
    first = factories.registry(
        tmp_path / "1", factories.entry(id="a", version="1"), factories.entry(id=bundled, version="site")
    )
    second = factories.registry(tmp_path / "2", factories.entry(id="a", version="2"), factories.entry(id="b"))
    user = factories.registry(tmp_path.__class__(home()) / ".nativedl", factories.entry(id="b", version="user"))
    monkeypatch.setenv("NATIVEDL_REGISTRY", os.pathsep.join([str(first), "", str(second)]))

    models = load_models()

    assert registry_files() == [resources_folder() / "registry.json", first, second, user]
    assert models[bundled].version == "site"
    assert (models["a"].version, models["a"].registry) == ("2", second)
    assert (models["b"].version, models["b"].registry) == ("user", user)


def test_a_registry_of_the_site_may_be_in_the_home_folder(monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", "~/registry.json")

    with pytest.raises(ModelError, match=f"^{home()}/registry.json: cannot be read"):
        load_models()


def test_a_model_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    models = {model.id: model for model in load_registry(factories.registry(tmp_path))}

    assert find_model(models, "bright").id == "bright"
    with pytest.raises(ModelError, match="there is no model 'dark'; there are bright"):
        find_model(models, "dark")
    with pytest.raises(ModelError, match="there is no model 'dark'; there are none"):
        find_model({}, "dark")
