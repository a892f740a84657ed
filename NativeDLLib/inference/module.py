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


def _by_axes(layer: Layer, name: str, *given: Any, **settings: Any) -> nn.Module:
    """Module of torch for the axes of a layer's input: ``Conv2d``, ``Conv3d``; without any ``BatchNorm1d``."""
    return getattr(nn, f"{name}{max(1, len(layer.takes) - 1)}d")(*given, **settings)


def _convolution(layer: Layer, name: str) -> nn.Module:
    given = layer.options
    settings = {name: given[name] for name in _OF_CONVOLUTIONS if name in given}
    return _by_axes(layer, name, layer.takes[0], given["filters"], given["kernel_size"], **settings)


def _pooling(layer: Layer, name: str) -> nn.Module:
    given = layer.options
    return _by_axes(layer, name, given["kernel_size"], given["stride"], given["padding"])


def _global_pooling(layer: Layer, name: str) -> nn.Module:
    return nn.Sequential(_by_axes(layer, name, 1), nn.Flatten())


def _normalisation(layer: Layer, name: str) -> nn.Module:
    return _by_axes(layer, name, layer.takes[0], eps=layer.options["epsilon"], affine=layer.options["affine"])


def _dropout(layer: Layer) -> nn.Module:
    has_axes, rate = len(layer.takes) > 1, layer.options["rate"]
    return _by_axes(layer, "Dropout", rate) if layer.options["whole_channels"] and has_axes else nn.Dropout(rate)


def _upsampling(layer: Layer) -> nn.Module:
    factors = tuple(float(n) for n in layer.options["scale"])
    if layer.options["mode"] == "nearest":
        return nn.Upsample(scale_factor=factors)
    mode = {3: "bilinear", 4: "trilinear"}[len(layer.takes)]
    return nn.Upsample(scale_factor=factors, mode=mode, align_corners=layer.options["align_corners"])


_MAKERS: Mapping[str, Callable[[Layer], nn.Module]] = {
    "convolution": lambda layer: _convolution(layer, "Conv"),
    "transposed_convolution": lambda layer: _convolution(layer, "ConvTranspose"),
    "max_pooling": lambda layer: _pooling(layer, "MaxPool"),
    "average_pooling": lambda layer: _pooling(layer, "AvgPool"),
    "global_max_pooling": lambda layer: _global_pooling(layer, "AdaptiveMaxPool"),
    "global_average_pooling": lambda layer: _global_pooling(layer, "AdaptiveAvgPool"),
    "batch_normalisation": lambda layer: _normalisation(layer, "BatchNorm"),
    "instance_normalisation": lambda layer: _normalisation(layer, "InstanceNorm"),
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
