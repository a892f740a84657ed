"""Shapes and parameters of each type of layer: a fixed table, without torch."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

Shape = tuple[int, ...]
Options = Mapping[str, Any]
Parameters = dict[str, Shape]

PER_AXIS = frozenset({"kernel_size", "stride", "padding", "dilation", "output_padding", "scale"})

_AFFINE = {"epsilon": 1e-5, "affine": True}
DEFAULTS: Mapping[str, Options] = {
    "convolution": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True},
    "transposed_convolution": {"stride": 1, "padding": 0, "output_padding": 0, "bias": True},
    **{kind: {"padding": 0} for kind in ("max_pooling", "average_pooling")},
    **dict.fromkeys([f"{kind}_normalisation" for kind in ("batch", "instance", "group", "layer")], _AFFINE),
    "leaky_relu": {"slope": 0.01},
    "elu": {"alpha": 1.0},
    "gelu": {"approximate": False},
    "prelu": {"per_channel": False},
    "dropout": {"whole_channels": False},
    "upsampling": {"mode": "nearest", "align_corners": False},
    "dense": {"bias": True},
}


class MisfitError(Exception):
    """A layer that does not fit the shape it gets; its arguments are the field to blame, or "", and why."""


Rule = Callable[[Options, Shape], tuple[Shape, Parameters]]


def _convolution(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    filters, groups, kernel = given["filters"], given["groups"], given["kernel_size"]
    for number, what in ((shape[0], "input channels"), (filters, "filters")):
        if number % groups:
            raise MisfitError("groups", f"{groups} groups do not divide {number} {what}")
    size = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(shape[1:], kernel, given["stride"], given["padding"], given["dilation"], strict=True)
    )
    return (filters, *size), {"weight": (filters, shape[0] // groups, *kernel), **_bias(given, filters)}


def _transposed(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    filters, kernel, extra = given["filters"], given["kernel_size"], given["output_padding"]
    for more, stride, padding in zip(extra, given["stride"], given["padding"], strict=True):
        # Beyond the padding there would be nothing but the bias.
        if more and (more >= stride or more > padding):
            raise MisfitError("output_padding", f"{more} must be below the stride {stride} and not above the padding")
    axes = zip(shape[1:], kernel, given["stride"], given["padding"], extra, strict=True)
    size = tuple((n - 1) * s + k - 2 * p + e for n, k, s, p, e in axes)
    return (filters, *size), {"weight": (shape[0], filters, *kernel), **_bias(given, filters)}


def _pooling(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    for kernel, padding in zip(given["kernel_size"], given["padding"], strict=True):
        if 2 * padding > kernel:
            raise MisfitError("padding", f"{padding} is more than half the kernel_size {kernel}")
    axes = zip(shape[1:], given["kernel_size"], given["stride"], given["padding"], strict=True)
    size = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in axes)
    return (shape[0], *size), {}


def _batch(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    channels = shape[:1]
    return shape, {**_affine(given, channels), "running_mean": channels, "running_var": channels}


def _instance(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    if prod(shape[1:]) == 1:
        raise MisfitError("", f"cannot normalise {list(shape)}, which has only one value in a channel")
    return shape, _affine(given, shape[:1])


def _group(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    if shape[0] % given["groups"]:
        raise MisfitError("groups", f"{given['groups']} groups do not divide {shape[0]} input channels")
    return shape, _affine(given, shape[:1])


def _upsampling(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    if given["align_corners"] and given["mode"] == "nearest":
        raise MisfitError("align_corners", "has no meaning for the mode nearest")
    return (shape[0], *(n * f for n, f in zip(shape[1:], given["scale"], strict=True))), {}


def _dense(given: Options, shape: Shape) -> tuple[Shape, Parameters]:
    if len(shape) > 1:
        raise MisfitError("", f"takes a flat input, not one of shape {list(shape)}; put flatten before it")
    units = given["units"]
    return (units,), {"weight": (units, shape[0]), **_bias(given, units)}


def _bias(given: Options, number: int) -> Parameters:
    return {"bias": (number,)} if given["bias"] else {}


def _affine(given: Options, shape: Shape) -> Parameters:
    return {"weight": shape, "bias": shape} if given["affine"] else {}


_SAME = ("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "softmax", "tanh", "dropout")
# Types that need an image, and those that take also what is flat.
SPATIAL: Mapping[str, Rule] = {
    "convolution": _convolution,
    "transposed_convolution": _transposed,
    "max_pooling": _pooling,
    "average_pooling": _pooling,
    "global_max_pooling": lambda given, shape: (shape[:1], {}),
    "global_average_pooling": lambda given, shape: (shape[:1], {}),
    "instance_normalisation": _instance,
    "group_normalisation": _group,
    "upsampling": _upsampling,
}
ANY: Mapping[str, Rule] = {
    "batch_normalisation": _batch,
    "layer_normalisation": lambda given, shape: (shape, _affine(given, shape)),
    "prelu": lambda given, shape: (shape, {"weight": shape[:1] if given["per_channel"] else (1,)}),
    "dense": _dense,
    "flatten": lambda given, shape: ((prod(shape),), {}),
    **dict.fromkeys(_SAME, lambda given, shape: (shape, {})),
}
