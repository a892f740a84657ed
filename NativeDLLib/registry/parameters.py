"""Effective parameters: entry defaults, then the configuration file, then the panel or the command line."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.registry.entry import Model, Parameter

Value = float | bool | str
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def effective(model: Model, *layers: tuple[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Value of every parameter of a model. `layers` are origins (for the message) and values, also as text; a later
    layer wins. UsageError where a name is unknown, or a value is of the wrong kind or out of bounds.
    """
    values: dict[str, Value] = {p.name: checked(p, p.default) for p in model.parameters}
    for origin, layer in layers:
        values |= checked_layer(model.id, model.parameters, origin, layer)
    return values


def checked_layer(
    model_id: str, parameters: Iterable[Parameter], origin: str, layer: Mapping[str, Any]
) -> dict[str, Value]:
    """Values of a layer by name, each of its parameter's type; UsageError as by `effective`."""
    known, values = {parameter.name: parameter for parameter in parameters}, dict[str, Value]()
    for name, given in layer.items():
        if name not in known:
            names = ", ".join(known) or "none"
            raise UsageError(f"{origin}: model {model_id} has no parameter '{name[:64]}'; it has {names}")
        try:
            values[name] = checked(known[name], given)
        except ValueError as error:
            raise UsageError(f"{origin}: parameter {name}: {error}") from error
    return values


def checked(parameter: Parameter, given: Any) -> Value:
    """Value of the parameter's type; ValueError where it is not one, or is out of bounds."""
    if parameter.type == "boolean":
        if str(given).lower() not in _BOOLEANS:
            raise ValueError(f"'{given}' is not true or false")
        return _BOOLEANS[str(given).lower()]
    if parameter.type == "choice":
        if given not in parameter.choices:
            raise ValueError(f"'{given}' is not one of {', '.join(parameter.choices)}")
        return str(given)
    try:
        if isinstance(given, bool):
            raise TypeError
        value = float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"'{given}' is not a number") from error
    low, high = parameter.minimum, parameter.maximum
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"{value:g} is not within {low:g} to {high:g}")
    if parameter.type == "integer":
        if not value.is_integer():
            raise ValueError(f"{value:g} is not a whole number")
        return int(value)
    return value


def resolve(setting: Any, parameters: Mapping[str, Value]) -> Any:
    """Return a setting of an entry, looked up where it refers to a parameter."""
    is_reference = isinstance(setting, dict) and setting.keys() == {"parameter"}
    return parameters[setting["parameter"]] if is_reference else setting


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Values by name of ``name=value`` texts; UsageError where there is no equals sign."""
    result = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"parameter {assignment}: write name=value")
        result[name.strip()] = value.strip()
    return result
