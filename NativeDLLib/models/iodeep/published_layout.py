"""The layout of the authors' own files (github.com/CHILab1/DNN-parser): layers by code, their numbers in lists beside.

``architecture`` maps ``"1"``, ``"2"`` ... to codes, each of which takes its filters from the next entry of
``convolutional``, its kernel from ``kernel`` or ``pooling``; ``skip_connection`` maps the number of a layer to that of
the ``Upsample`` it joins. The codes of U-Nets leave open whether ``Upsample`` interpolates, which halves the filters
of the level below, or is a transposed convolution, and whether convolutions have a bias: only the weights tell.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.architecture import make_plan

_PLAIN = {name: name for name in ("relu", "tanh", "softmax", "sigmoid", "prelu", "flatten")}
_PLAIN["batchnorm2d"] = "batch_normalisation"
_POOLING = {"maxpool2d": "max_pooling", "avgpool2d": "average_pooling"}
_DOUBLE = ("doubleconv", "elbowunet", "updoubleconv", "updoubleconv_out")


def from_iodeep(description: Mapping[str, Any], state_dict: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Description and state dict for `load_network`, of the authors' JSON and weights in the order of the layers.
    ModelError names the layer that is not known, the list that is too short, or the first weight that does not fit.
    """
    weights = [value for name, value in state_dict.items() if not str(name).endswith("num_batches_tracked")]
    found = [tuple(getattr(value, "shape", ())) for value in weights]
    layers = description.get("architecture")
    codes = [str(code).lower() for code in layers.values()] if isinstance(layers, Mapping) else []
    interpolations = (True, False) if "upsample" in codes else (True,)
    biases = (False, True) if set(codes) & set(_DOUBLE) else (True,)
    readings = [_Reader(description, *way).read() for way in product(interpolations, biases)]
    for reading in readings:
        wanted = make_plan(reading).parameters
        if list(wanted.values()) == found:
            return reading, dict(zip(wanted, weights, strict=True))
    wanted = make_plan(readings[0]).parameters
    pairs = zip(wanted.items(), [*found, *[()] * len(wanted)], strict=False)
    name, shape, other = next(((n, w, f) for (n, w), f in pairs if w != f), ("", (), ()))
    what = f"{name} should have the shape {list(shape)}, not {list(other)}" if name else f"{len(found)} are too many"
    raise ModelError(f"the weights do not fit the architecture: {what}")


class _Reader:
    """One reading of a description, layer by layer."""

    def __init__(self, data: Mapping[str, Any], interpolates: bool, bias: bool) -> None:
        self._data, self._interpolates, self._bias = data, interpolates, bias
        self._taken = dict.fromkeys(("convolutional", "kernel", "pooling"), 0)
        self._rows: list[dict[str, Any]] = []
        # Last layer and channels of each of theirs, by its number, which skip connections go by.
        self._ends: dict[str, tuple[int, int]] = {}
        shape = self._group("input_shape")
        sizes = [self._number(shape.get(f"input_shape{i}"), f"input_shape.input_shape{i}") for i in range(3)]
        last = self._group("data_format").get("data_format", "channels_last") == "channels_last"
        self._shape = [sizes[2], *sizes[:2]] if last else sizes
        self._channels = self._shape[0]
        self._skips: dict[str, str] = {str(to): str(start) for start, to in self._group("skip_connection").items()}

    def read(self) -> dict[str, Any]:
        layers = self._group("architecture")
        if len(layers) > 200:
            raise ModelError(f"IODeep architecture: has {len(layers)} layers; at most 200 are allowed")
        joins = []
        for number, code in layers.items():
            self._layer(str(number), code)
            end = len(self._rows) - 1
            start = self._skips.pop(str(number), None)
            if start is not None:
                if start not in self._ends:
                    raise ModelError(f"IODeep skip_connection: layer {number} is joined to '{start}', not before it")
                source, channels = self._ends[start]
                joins.append({"from": source, "to": end, "mode": "concatenate", "position": "first"})
                self._channels += channels
            self._ends[str(number)] = end, self._channels
        if self._skips:
            raise ModelError(f"IODeep skip_connection: there is no layer '{next(iter(self._skips))[:20]}'")
        result = {"schema_version": "1.0", "input_shape": self._shape, "architecture": self._rows}
        return {**result, "skip_connection": joins} if joins else result

    def _layer(self, number: str, code: Any) -> None:
        known = str(code).lower()
        if known in _PLAIN:
            self._add(number, type=_PLAIN[known])
        elif known in _POOLING:
            self._add(number, type=_POOLING[known], kernel_size=self._next("pooling", "pool"))
        elif known == "upsample" and self._interpolates:
            self._add(number, type="upsampling", scale=2, mode="linear", align_corners=True)
        elif known == "upsample":
            self._channels //= 2
            self._add(number, type="transposed_convolution", filters=self._channels, kernel_size=2, stride=2)
        elif known == "cnn2d":
            padding = self._single("padding_conv", 0)
            self._convolution(number, self._next("convolutional", "cn"), padding, bias=True)
        elif known in _DOUBLE:
            self._double(number, known)
        else:
            raise ModelError(f"IODeep architecture.{number[:20]}: the layer '{str(code)[:40]}' is not known")

    def _double(self, number: str, code: str) -> None:
        filters, kernel = self._next("convolutional", "cn"), self._next("kernel", "kernel")
        middle, padding = filters, self._single("padding", 0)
        if self._interpolates and code != "doubleconv":
            filters = filters if code == "updoubleconv_out" else filters // 2
            middle = filters if code == "elbowunet" else self._channels // 2
        for width in (middle, filters):
            self._convolution(number, width, padding, kernel=kernel, bias=self._bias)
            self._add(number, type="batch_normalisation")
            self._add(number, type="relu")

    def _convolution(self, number: str, filters: int, padding: int, *, bias: bool, kernel: int | None = None) -> None:
        size = self._next("kernel", "kernel") if kernel is None else kernel
        sizes = {"kernel_size": size, "stride": self._single("stride", 1), "padding": padding}
        self._add(number, type="convolution", filters=filters, **sizes, bias=bias)
        self._channels = filters

    def _add(self, number: str, **row: Any) -> None:
        self._rows.append({**row, "name": f"layer {number[:20]}"})

    def _group(self, name: str) -> Mapping[str, Any]:
        group = self._data.get(name, {})
        if not isinstance(group, Mapping):
            raise ModelError(f"IODeep {name}: is not an object")
        return group

    def _next(self, group: str, prefix: str) -> int:
        self._taken[group] += 1
        key = f"{prefix}{self._taken[group]}"
        return self._number(self._group(group).get(key), f"{group}.{key}")

    def _single(self, group: str, otherwise: int) -> int:
        return self._number(self._group(group).get(group, otherwise), f"{group}.{group}")

    def _number(self, value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**6:
            raise ModelError(f"IODeep {where}: {str(value)[:40]} is not a number from 0 to 1000000")
        return value
