"""The torch module of a described network."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from NativeDLLib.registry.architecture.check import Layer, Plan


class DescribedNetwork(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """Layers of a checked description one after another, with skip connections."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_MAKERS[layer.type](layer) for layer in plan.layers)
        self._joins = plan.joins
        uses = {join.source: target for target in sorted(plan.joins) for join in plan.joins[target]}
        self._sources = frozenset(uses)
        self._free = {target: [s for s, last in uses.items() if last == target] for target in plan.joins}

    def forward(self, image: Tensor) -> Tensor:
        """Map a batch (n, channels, y, x) or (n, channels, z, y, x) to the output of the last layer."""
        x, kept = image, dict[int, Tensor]()
        for index, layer in enumerate(self.layers):
            x = layer(x)
            for join in self._joins.get(index, ()):
                other = kept[join.source]
                x = x + other if join.add else torch.cat([other, x] if join.first else [x, other], dim=1)
            for source in self._free.get(index, ()):
                del kept[source]
            if index in self._sources:
                kept[index] = x
        return x


_OF_CONVOLUTIONS = ("stride", "padding", "output_padding", "dilation", "groups", "bias")


def _by_axes(layer: Layer, flat: Any, plane: Any, volume: Any) -> Any:
    return {1: flat, 3: plane, 4: volume}[len(layer.takes)]


def _convolution(plane: Any, volume: Any) -> Callable[[Layer], nn.Module]:
    def make(layer: Layer) -> nn.Module:
        given = layer.options
        settings = {name: given[name] for name in _OF_CONVOLUTIONS if name in given}
        return _by_axes(layer, None, plane, volume)(layer.takes[0], given["filters"], given["kernel_size"], **settings)

    return make


def _pooling(plane: Any, volume: Any) -> Callable[[Layer], nn.Module]:
    def make(layer: Layer) -> nn.Module:
        given = layer.options
        return _by_axes(layer, None, plane, volume)(given["kernel_size"], given["stride"], given["padding"])

    return make


def _global(plane: Any, volume: Any) -> Callable[[Layer], nn.Module]:
    return lambda layer: nn.Sequential(_by_axes(layer, None, plane, volume)(1), nn.Flatten())


def _normalisation(flat: Any, plane: Any, volume: Any) -> Callable[[Layer], nn.Module]:
    def make(layer: Layer) -> nn.Module:
        given = layer.options
        return _by_axes(layer, flat, plane, volume)(layer.takes[0], eps=given["epsilon"], affine=given["affine"])

    return make


def _dropout(layer: Layer) -> nn.Module:
    kind = _by_axes(layer, nn.Dropout, nn.Dropout2d, nn.Dropout3d) if layer.options["whole_channels"] else nn.Dropout
    return kind(layer.options["rate"])


def _upsampling(layer: Layer) -> nn.Module:
    factors = tuple(float(n) for n in layer.options["scale"])
    if layer.options["mode"] == "nearest":
        return nn.Upsample(scale_factor=factors)
    mode = _by_axes(layer, None, "bilinear", "trilinear")
    return nn.Upsample(scale_factor=factors, mode=mode, align_corners=layer.options["align_corners"])


_MAKERS: Mapping[str, Callable[[Layer], nn.Module]] = {
    "convolution": _convolution(nn.Conv2d, nn.Conv3d),
    "transposed_convolution": _convolution(nn.ConvTranspose2d, nn.ConvTranspose3d),
    "max_pooling": _pooling(nn.MaxPool2d, nn.MaxPool3d),
    "average_pooling": _pooling(nn.AvgPool2d, nn.AvgPool3d),
    "global_max_pooling": _global(nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    "global_average_pooling": _global(nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    "batch_normalisation": _normalisation(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    "instance_normalisation": _normalisation(None, nn.InstanceNorm2d, nn.InstanceNorm3d),
    "group_normalisation": lambda layer: nn.GroupNorm(
        layer.options["groups"], layer.takes[0], eps=layer.options["epsilon"], affine=layer.options["affine"]
    ),
    "layer_normalisation": lambda layer: nn.LayerNorm(
        layer.takes, eps=layer.options["epsilon"], elementwise_affine=layer.options["affine"]
    ),
    "relu": lambda layer: nn.ReLU(),
    "leaky_relu": lambda layer: nn.LeakyReLU(layer.options["slope"]),
    "elu": lambda layer: nn.ELU(layer.options["alpha"]),
    "gelu": lambda layer: nn.GELU(approximate="tanh" if layer.options["approximate"] else "none"),
    "silu": lambda layer: nn.SiLU(),
    "prelu": lambda layer: nn.PReLU(layer.takes[0] if layer.options["per_channel"] else 1),
    "sigmoid": lambda layer: nn.Sigmoid(),
    "softmax": lambda layer: nn.Softmax(dim=1),
    "tanh": lambda layer: nn.Tanh(),
    "dropout": _dropout,
    "upsampling": _upsampling,
    "dense": lambda layer: nn.Linear(layer.takes[0], layer.options["units"], bias=layer.options["bias"]),
    "flatten": lambda layer: nn.Flatten(),
}
