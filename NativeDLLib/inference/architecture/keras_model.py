"""The Keras 3 model of a described network: the same numbers, with the channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from NativeDLLib.errors import ModelError
from NativeDLLib.inference.architecture.check import Layer, Plan, make_plan
from NativeDLLib.inference.architecture.weights import matched
from NativeDLLib.inference.network import Floats, require

Step = Callable[[Any], Any]
Maker = Callable[[Any, Layer, str], Step]
_LAST = {"data_format": "channels_last"}


def build_keras(description: Mapping[str, Any]) -> Any:
    """Build the Keras model of a description, on whichever back end Keras has been told to use.

    Parameters
    ----------
    description
        As the room's docstring says. The model takes batches (n, y, x, channels) or (n, z, y, x, channels).

    Raises
    ------
    ModelError
        As `check_architecture`, where Keras is missing, or where it lacks what a layer asks for.
    """
    return _model(make_plan(description))


def load_keras(description: Mapping[str, Any], state_dict: Mapping[str, Any]) -> Any:
    """Build the Keras model of a description with the weights of `load_network`, which are converted.

    Parameters
    ----------
    description, state_dict
        As for `load_network`; arrays will do for tensors.

    Raises
    ------
    ModelError
        As `build_keras`, or where the weights do not fit.
    """
    plan = make_plan(description)
    weights = {name: _array(value) for name, value in matched(plan, state_dict).items()}
    model = _model(plan)
    for index, layer in enumerate(plan.layers):
        if layer.parameters:
            own = {name: weights[f"layers.{index}.{name}"] for name in layer.parameters}
            target = model.get_layer(_name(index))
            target.set_weights(_converted(layer, own, [tuple(w.shape) for w in target.weights]))
    return model


def _array(value: Any) -> Floats:
    plain = value.detach().float().cpu().numpy() if hasattr(value, "detach") else value
    return np.asarray(plain, dtype=np.float32)


def _converted(layer: Layer, own: Mapping[str, Floats], shapes: list[tuple[int, ...]]) -> list[Floats]:
    """Return a layer's weights as Keras orders them and their axes."""
    if layer.type in ("convolution", "transposed_convolution", "dense"):
        first, second, *space = range(own["weight"].ndim)
        own = {**own, "weight": own["weight"].transpose(*space, second, first)}
    if layer.type == "layer_normalisation":
        own = {name: np.moveaxis(value, 0, -1) for name, value in own.items()}
    return [np.broadcast_to(value, shape) for value, shape in zip(own.values(), shapes, strict=True)]


def _name(index: int) -> str:
    return f"layer_{index}"


def _model(plan: Plan) -> Any:
    keras = require("keras", "keras")
    x = inputs = keras.Input((*plan.input_shape[1:], plan.input_shape[0]))
    passed: list[Any] = []
    for index, layer in enumerate(plan.layers):
        try:
            x = _MAKERS[layer.type](keras, layer, _name(index))(x)
        except ValueError as error:
            raise ModelError(f"layer {index} ({layer.type}) cannot be built with Keras: {str(error)[:200]}") from error
        for join in plan.joins.get(index, ()):
            other = passed[join.source]
            pair = [other, x] if join.first else [x, other]
            x = keras.layers.Add()(pair) if join.add else keras.layers.Concatenate(axis=-1)(pair)
        passed.append(x)
    return keras.Model(inputs, x)


def _kind(keras: Any, layer: Layer, stem: str) -> Any:
    """Return Keras' class for as many axes as the layer has."""
    return getattr(keras.layers, f"{stem}{len(layer.takes) - 1}D")


def _convolution(keras: Any, layer: Layer, name: str) -> Step:
    given = layer.options
    sizes = {"strides": given["stride"], "dilation_rate": given["dilation"], "groups": given["groups"]}
    step = _kind(keras, layer, "Conv")(
        given["filters"], given["kernel_size"], **sizes, use_bias=given["bias"], name=name, **_LAST
    )
    pad = _kind(keras, layer, "ZeroPadding")(given["padding"], **_LAST)
    return lambda x: step(pad(x))


def _transposed(keras: Any, layer: Layer, name: str) -> Step:
    given = layer.options
    kind = {3: keras.layers.Conv2DTranspose, 4: keras.layers.Conv3DTranspose}[len(layer.takes)]
    step = kind(
        given["filters"], given["kernel_size"], strides=given["stride"], use_bias=given["bias"], name=name, **_LAST
    )
    # Keras gives the whole output, and torch what lies within the padding.
    ends = [
        (p, n * s + max(k - s, 0) - p - m)
        for n, k, s, p, m in zip(
            layer.takes[1:], given["kernel_size"], given["stride"], given["padding"], layer.gives[1:], strict=True
        )
    ]
    crop = _kind(keras, layer, "Cropping")(ends, **_LAST)
    return lambda x: crop(step(x))


def _pooling(stem: str, fill: float) -> Maker:
    def make(keras: Any, layer: Layer, name: str) -> Step:
        given = layer.options
        step = _kind(keras, layer, stem)(given["kernel_size"], strides=given["stride"], name=name, **_LAST)
        pads = ((0, 0), *((p, p) for p in given["padding"]), (0, 0))
        return lambda x: step(keras.ops.pad(x, pads, constant_values=fill))

    return make


def _group(groups: Callable[[Layer], int]) -> Maker:
    def make(keras: Any, layer: Layer, name: str) -> Step:
        return _normalisation(keras.layers.GroupNormalization, layer, name, groups=groups(layer))

    return make


def _normalisation(kind: Any, layer: Layer, name: str, **more: Any) -> Step:
    affine = layer.options["affine"]
    step: Step = kind(epsilon=layer.options["epsilon"], center=affine, scale=affine, name=name, **more)
    return step


def _layer(keras: Any, layer: Layer, name: str) -> Step:
    axes = list(range(1, len(layer.takes) + 1))
    return _normalisation(keras.layers.LayerNormalization, layer, name, axis=axes)


def _dropout(keras: Any, layer: Layer, name: str) -> Step:
    whole = layer.options["whole_channels"] and len(layer.takes) > 1
    rate = layer.options["rate"]
    step: Step = _kind(keras, layer, "SpatialDropout")(rate, **_LAST) if whole else keras.layers.Dropout(rate)
    return step


def _upsampling(keras: Any, layer: Layer, name: str) -> Step:
    given = layer.options
    if given["mode"] == "nearest":
        step: Step = _kind(keras, layer, "UpSampling")(given["scale"], **_LAST)
        return step

    def linear(x: Any) -> Any:
        # Keras has it for two axes only, and not with aligned corners; one axis after the other is the same.
        for axis, (size, factor) in enumerate(zip(layer.takes[1:], given["scale"], strict=True), start=1):
            x = _interpolated(keras, x, axis, size, factor, given["align_corners"])
        return x

    return linear


def _interpolated(keras: Any, x: Any, axis: int, size: int, factor: int, aligned: bool) -> Any:
    number = size * factor
    if aligned:
        at = np.arange(number) * ((size - 1) / max(number - 1, 1))
    else:
        at = ((np.arange(number) + 0.5) / factor - 0.5).clip(0)
    low = np.floor(at).astype(np.int64).clip(0, size - 1)
    shape = [number if i == axis else 1 for i in range(len(x.shape))]
    share = (at - low).astype(np.float32).reshape(shape)
    before, after = (keras.ops.take(x, i, axis=axis) for i in (low, (low + 1).clip(0, size - 1)))
    return before * (1 - share) + after * share


def _prelu(keras: Any, layer: Layer, name: str) -> Step:
    step: Step = keras.layers.PReLU(shared_axes=list(range(1, len(layer.takes))) or None, name=name)
    return step


def _flatten(keras: Any, layer: Layer, name: str) -> Step:
    rank = len(layer.takes)
    order = keras.layers.Permute((rank, *range(1, rank)))
    flat = keras.layers.Flatten(**_LAST)
    return lambda x: flat(order(x))


_MAKERS: Mapping[str, Maker] = {
    "convolution": _convolution,
    "transposed_convolution": _transposed,
    "max_pooling": _pooling("MaxPooling", float(np.finfo(np.float32).min)),
    "average_pooling": _pooling("AveragePooling", 0.0),
    "global_max_pooling": lambda keras, layer, name: _kind(keras, layer, "GlobalMaxPooling")(**_LAST),
    "global_average_pooling": lambda keras, layer, name: _kind(keras, layer, "GlobalAveragePooling")(**_LAST),
    "batch_normalisation": lambda keras, layer, name: _normalisation(keras.layers.BatchNormalization, layer, name),
    "instance_normalisation": _group(lambda layer: layer.takes[0]),
    "group_normalisation": _group(lambda layer: int(layer.options["groups"])),
    "layer_normalisation": _layer,
    "relu": lambda keras, layer, name: keras.ops.relu,
    "leaky_relu": lambda keras, layer, name: keras.layers.LeakyReLU(layer.options["slope"]),
    "elu": lambda keras, layer, name: keras.layers.ELU(layer.options["alpha"]),
    "gelu": lambda keras, layer, name: lambda x: keras.ops.gelu(x, approximate=layer.options["approximate"]),
    "silu": lambda keras, layer, name: keras.ops.silu,
    "prelu": _prelu,
    "sigmoid": lambda keras, layer, name: keras.ops.sigmoid,
    "softmax": lambda keras, layer, name: keras.ops.softmax,
    "tanh": lambda keras, layer, name: keras.ops.tanh,
    "dropout": _dropout,
    "upsampling": _upsampling,
    "dense": lambda keras, layer, name: keras.layers.Dense(
        layer.options["units"], use_bias=layer.options["bias"], name=name
    ),
    "flatten": _flatten,
}
