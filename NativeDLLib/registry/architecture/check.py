"""Checking a description before anything is built (grammar, shapes, sizes), and weights before any of them is used."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import check_schema, json_path
from NativeDLLib.registry.architecture import rules
from NativeDLLib.registry.architecture.rules import Options, Parameters, Shape

# 1 GiB of float32, three times the largest networks of nnU-Net.
MOST_PARAMETERS = 2**28
# 2 GiB of float32 for one sample: what a layer takes and gives, and what waits for a skip connection.
MOST_VALUES = 2**29
_LONGEST, _MOST_ROWS = 2**18, 1000
_ORIGIN = Path("network description")


@dataclass(frozen=True)
class Layer:
    """A layer with its defaults filled in, and its place in the network."""

    type: str
    options: Options  # settings by name, those per axis as tuples
    takes: Shape  # shape of its input
    gives: Shape  # shape of its own output, before skip connections join it
    parameters: Parameters  # shapes of its weights by name


@dataclass(frozen=True)
class Join:
    """A skip connection into a layer: the layer it comes from, and how it is joined."""

    source: int
    add: bool
    first: bool


@dataclass(frozen=True)
class Plan:
    """A network that can be built; the shapes that its layers pass on are channels first, without the batch."""

    layers: Sequence[Layer]
    joins: Mapping[int, Sequence[Join]]
    passed: Sequence[Shape]

    @property
    def parameters(self) -> dict[str, Shape]:
        """Shapes of the weights by canonical name, in the order of the layers."""
        layers = enumerate(self.layers)
        return {f"layers.{i}.{name}": shape for i, layer in layers for name, shape in layer.parameters.items()}


def make_plan(description: Mapping[str, Any]) -> Plan:
    """Plan of a description; ModelError names layer and field of the first thing that is unknown, does not fit or is
    too large.
    """
    data = _plain(description)
    check_schema(data, "architecture.schema.json", _ORIGIN, ModelError, "architecture")
    joins = _joins(data)
    shape: Shape = tuple(int(n) for n in data["input_shape"])
    axes, parameters, layers, passed = len(shape) - 1, 0, list[Layer](), list[Shape]()
    for index, row in enumerate(data["architecture"]):
        layer = _layer(data, index, row, shape, axes)
        layers.append(layer)
        shape = layer.gives
        for join in joins.get(index, ()):
            shape = _joined(data, index, shape, passed[join.source], join)
        passed.append(shape)
        waiting = {j.source for target, rows in joins.items() if target >= index for j in rows if j.source < index}
        values = sum(map(prod, [layer.takes, layer.gives, shape, *(passed[source] for source in waiting)]))
        if values > MOST_VALUES:
            raise _error(data, index, f"needs {values} values at once; at most {MOST_VALUES} are allowed")
        parameters += sum(map(prod, layer.parameters.values()))
        if parameters > MOST_PARAMETERS:
            raise _error(data, index, f"brings the parameters to {parameters}; at most {MOST_PARAMETERS} are allowed")
    return Plan(layers, joins, passed)


def _plain(description: Mapping[str, Any]) -> Any:
    """Return a copy that holds nothing but what JSON has, and not more than the schema is soon through with."""
    try:
        text = json.dumps(dict(description), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{_ORIGIN}: is not JSON: something in it is of another type, or nested too deeply") from error
    if len(text) > _LONGEST:
        raise ModelError(f"{_ORIGIN}: has {len(text)} characters; at most {_LONGEST} are allowed")
    data = json.loads(text)
    for name, rows in data.items():
        if isinstance(rows, list) and len(rows) > _MOST_ROWS:
            raise ModelError(f"{_ORIGIN}: {name[:80]}: has {len(rows)} entries; at most {_MOST_ROWS} are allowed")
    return data


def _joins(data: Any) -> dict[int, list[Join]]:
    joins: dict[int, list[Join]] = {}
    for number, row in enumerate(data.get("skip_connection", ())):
        source, target = int(row["from"]), int(row["to"])
        if not source < target < len(data["architecture"]):
            where = f"{_ORIGIN}: skip_connection[{number}]: leads from layer {source} to layer {target}"
            raise ModelError(f"{where}; it must lead to a later one of the {len(data['architecture'])} layers")
        first = row.get("position", "last") == "first"
        joins.setdefault(target, []).append(Join(source, row["mode"] == "add", first))
    return joins


def _layer(data: Any, index: int, row: Mapping[str, Any], shape: Shape, axes: int) -> Layer:
    kind = row["type"]
    options = {**rules.DEFAULTS.get(kind, {}), **{k: v for k, v in row.items() if k not in ("type", "name")}}
    if kind in ("max_pooling", "average_pooling"):
        options.setdefault("stride", options["kernel_size"])
    options = {field: _value(data, index, field, value, axes) for field, value in options.items()}
    if kind in rules.SPATIAL and len(shape) == 1:
        raise _error(data, index, f"takes an image, but gets the flat shape {list(shape)}")
    try:
        gives, parameters = (rules.SPATIAL.get(kind) or rules.ANY[kind])(options, shape)
    except rules.MisfitError as misfit:
        field, reason = misfit.args
        raise _error(data, index, reason, field) from None
    if min(gives) < 1:
        raise _error(data, index, f"would give the shape {list(gives)} for an input of {list(shape)}")
    return Layer(kind, options, shape, gives, parameters)


def _value(data: Any, index: int, field: str, value: Any, axes: int) -> Any:
    if field in rules.PER_AXIS:
        if isinstance(value, list) and len(value) != axes:
            raise _error(data, index, f"has {len(value)} values for {axes} axes", field)
        return tuple(int(n) for n in value) if isinstance(value, list) else (int(value),) * axes
    # In JSON Schema 3.0 is an integer.
    return int(value) if field in ("filters", "groups", "units") else value


def _joined(data: Any, index: int, shape: Shape, other: Shape, join: Join) -> Shape:
    if (shape != other) if join.add else (len(shape) != len(other) or shape[1:] != other[1:]):
        joined = "added" if join.add else "concatenated"
        reason = f"gives the shape {list(shape)}, to which {list(other)} of layer {join.source} cannot be {joined}"
        raise _error(data, index, reason)
    return shape if join.add else (shape[0] + other[0], *shape[1:])


def _error(data: Any, index: int, reason: str, field: str = "") -> ModelError:
    where = json_path(data, ["architecture", index], "architecture")
    kind = data["architecture"][index]["type"]
    return ModelError(f"{_ORIGIN}: {where}.{field}: {reason}" if field else f"{_ORIGIN}: {where}: {kind} {reason}")


# What torch's batch normalisation counts in training; prediction has no use for it.
COUNTER = "num_batches_tracked"


def matched(plan: Plan, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a plan, tensors or arrays by canonical name, in the order of its layers. ModelError names a weight
    that is missing, not expected, of another shape, or no floating-point numbers.
    """
    given = {name: value for name, value in state_dict.items() if not str(name).endswith(f".{COUNTER}")}
    wanted = plan.parameters
    wrong = [_mismatch(name, wanted[name], given[name]) for name in wanted if name in given]
    problems = (
        ("missing: ", [name for name in wanted if name not in given]),
        ("not expected: ", [str(name) for name in given if name not in wanted]),
        ("", [text for text in wrong if text]),
    )
    said = [intro + _some(names) for intro, names in problems if names]
    if said:
        raise ModelError(f"the weights do not fit the architecture: {'; '.join(said)}")
    return {name: given[name] for name in wanted}


def _mismatch(name: str, wanted: Shape, value: Any) -> str:
    dense = str(getattr(value, "layout", "torch.strided")) == "torch.strided"
    if not dense or "float" not in str(getattr(value, "dtype", "")):
        return f"{name} is not a dense tensor of floating-point numbers"
    shape = tuple(value.shape)
    return "" if shape == wanted else f"{name} has the shape {list(shape)} instead of {list(wanted)}"


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
