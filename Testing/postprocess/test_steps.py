"""The table of steps, their functions and the registry's schema say the same."""

import inspect
import json

import pytest

from NativeDLLib.core.jsonfile import problem_of
from NativeDLLib.core.places import resources_folder
from NativeDLLib.postprocess.steps import STEPS, function_of

LEVELS = [*(f"C{n}" for n in range(1, 8)), *(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 6))]
SAMPLES = {
    "labels": [1],
    "enabled": True,
    "min_ml": 3,
    "distance_mm": 60,
    "least_percent": 0.3,
    "classes": {"vertebra": 1, "core": 2, "sacrum": 3, "rib": 4},
    "levels": {level: 10 + number for number, level in enumerate(LEVELS)},
    "numbered": [101],
}


def schema():
    return json.loads((resources_folder() / "registry.schema.json").read_text())["$defs"]["step"]["properties"]


def settings(name):
    """Settings that a step's function takes, and whether each must be given."""
    _, *parameters = inspect.signature(function_of(name)).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    return {parameter.name: parameter.default is parameter.empty for parameter in parameters}


def is_allowed(name, *given):
    row = {"step": name} | {setting: SAMPLES[setting] for setting in given}
    return problem_of(row, "registry.schema.json", "/$defs/step") is None


def test_the_schema_has_the_steps_and_settings_of_the_table():
    assert schema()["step"]["enum"] == list(STEPS)
    assert schema().keys() == {"step", *SAMPLES}
    assert SAMPLES.keys() - {"enabled"} == set().union(*map(settings, STEPS))


@pytest.mark.parametrize("name", STEPS)
def test_the_schema_allows_what_the_function_takes_and_demands_what_it_needs(name):
    taken = settings(name)
    needed = [setting for setting, must in taken.items() if must]

    assert is_allowed(name, *needed)
    assert is_allowed(name, *taken)
    for setting in needed:
        assert not is_allowed(name, *(other for other in needed if other != setting))
    allowed = {setting for setting in SAMPLES if setting in needed or is_allowed(name, *needed, setting)}
    assert allowed == {*taken, *([] if STEPS[name].on_classes else ["enabled"])}


def test_each_step_has_one_line_for_the_manual():
    for step in STEPS.values():
        assert step.about.endswith(".")
        assert len(step.about.splitlines()) == 1


def test_steps_on_the_networks_classes_stand_before_the_others():
    assert [step.on_classes for step in STEPS.values()] == sorted((s.on_classes for s in STEPS.values()), reverse=True)
