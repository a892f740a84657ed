import factories
import pytest

from NativeDLLib.core.errors import UsageError
from NativeDLLib.registry import effective, load_registry
from NativeDLLib.registry.parameters import parse_assignments, resolve

PARAMETERS = [
    {"name": "step", "type": "number", "default": 0.5, "minimum": 0.25, "maximum": 1},
    {"name": "tiles", "type": "integer", "default": 3, "minimum": 1, "maximum": 9},
    {"name": "mirror", "type": "boolean", "default": False},
    {"name": "mode", "type": "choice", "default": "fast", "choices": ["fast", "best"]},
]


@pytest.fixture
def model(tmp_path):
    rows = [row | {"label": row["name"], "help": "Help."} for row in PARAMETERS]
    (found,) = load_registry(factories.registry(tmp_path, factories.entry(parameters=rows, postprocessing=[])))
    return found


def test_what_nobody_sets_has_its_default(model):
    assert effective(model) == {"step": 0.5, "tiles": 3, "mirror": False, "mode": "fast"}


def test_a_later_layer_wins(model):
    layers = ("site.json", {"step": 0.75, "tiles": 5}), ("--set", {"step": "1"})

    assert effective(model, *layers) == {"step": 1.0, "tiles": 5, "mirror": False, "mode": "fast"}


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("step", "0.25", 0.25),
        ("step", 1, 1.0),
        ("tiles", "4", 4),
        ("tiles", 4.0, 4),
        ("mirror", "TRUE", True),
        ("mirror", "off", False),
        ("mirror", 1, True),
        ("mirror", False, False),
        ("mode", "best", "best"),
    ],
)
def test_text_becomes_a_value_of_the_parameters_type(model, name, given, expected):
    value = effective(model, ("--set", {name: given}))[name]

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "wrong"),
    [
        ("step", "0.2", "0.2 is not within 0.25 to 1"),
        ("step", "1.5", "1.5 is not within 0.25 to 1"),
        ("step", "nan", "nan is not within 0.25 to 1"),
        ("step", "inf", "inf is not within 0.25 to 1"),
        ("step", "wide", "'wide' is not a number"),
        ("step", True, "'True' is not a number"),
        ("step", None, "'None' is not a number"),
        ("step", [0.5], "'[0.5]' is not a number"),
        ("step", 10**400, "is not a number"),
        ("tiles", "2.5", "2.5 is not a whole number"),
        ("tiles", 0, "0 is not within 1 to 9"),
        ("mirror", "perhaps", "'perhaps' is not true or false"),
        ("mode", "slow", "'slow' is not one of fast, best"),
        ("mode", 1, "'1' is not one of fast, best"),
        ("mode", ["fast"], "'['fast']' is not one of fast, best"),
    ],
)
def test_a_wrong_value_is_refused_with_its_origin_and_name(model, name, given, wrong):
    with pytest.raises(UsageError) as caught:
        effective(model, ("site.json", {name: given}))

    assert str(caught.value).startswith(f"site.json: parameter {name}: ")
    assert wrong in str(caught.value)


def test_an_unknown_name_is_answered_with_those_there_are(model):
    expected = "--set: model bright has no parameter 'stride'; it has step, tiles, mirror, mode"
    with pytest.raises(UsageError, match=expected):
        effective(model, ("--set", {"stride": 1}))


def test_an_unknown_name_of_a_model_without_parameters_is_answered_too(tmp_path):
    entry = factories.entry(parameters=[], postprocessing=[], sliding_window={})
    (bare,) = load_registry(factories.registry(tmp_path, entry))

    with pytest.raises(UsageError, match="it has none"):
        effective(bare, ("--set", {"step": 1}))


def test_a_setting_is_a_value_or_the_name_of_a_parameter():
    assert resolve(0.5, {"step": 0.75}) == 0.5
    assert resolve({"parameter": "step"}, {"step": 0.75}) == 0.75


def test_assignments_are_split_at_the_first_equals_sign():
    assert parse_assignments(["a=1", " b = x=y ", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("assignment", ["a", "=1", ""])
def test_what_is_no_assignment_is_refused(assignment):
    with pytest.raises(UsageError, match=f"parameter {assignment}: write name=value"):
        parse_assignments([assignment])
