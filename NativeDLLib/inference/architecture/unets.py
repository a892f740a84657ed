"""From the U-Nets of this project and of nnU-Net to descriptions, and their weights to canonical names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import nn

from NativeDLLib.errors import ModelError
from NativeDLLib.inference.architecture.check import check_architecture
from NativeDLLib.inference.architecture.module import DescribedNetwork

Skips = list[tuple[int, int]]
_WEIGHTS = ("weight", "bias", "running_mean", "running_var")


def describe(module: nn.Module, size: Sequence[int] | None = None) -> dict[str, Any]:
    """Write the description of a U-Net.

    Parameters
    ----------
    module
        A `SmallUNet`, or a ``PlainConvUNet`` as nnU-Net makes it, of which the full resolution is described.
    size
        Size (y, x) or (z, y, x) of its input, in pixels or voxels; without it, twice the step of its lowest level.

    Raises
    ------
    ModelError
        Where the module is another one, has a layer that cannot be described, or does not take that size.
    """
    leaves, skips = _trace(module)
    rows = [_row(leaf) for leaf in leaves]
    if size is None:
        down = itertools.takewhile(lambda leaf: not isinstance(leaf, _TRANSPOSED), leaves)
        steps = [leaf.stride for leaf in down if isinstance(leaf, _CONVOLUTION)]
        size = [2 * prod(axis) for axis in zip(*steps, strict=True)]
    description = {
        "schema_version": "1.0",
        "input_shape": [leaves[0].in_channels, *(int(n) for n in size)],
        "architecture": rows,
        "skip_connection": [{"from": a, "to": b, "mode": "concatenate"} for a, b in skips],
    }
    check_architecture(description)
    return description


def canonical_state_dict(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a network's weights by canonical name (``layers.<index>.weight`` ...), in the order of its layers.

    Parameters
    ----------
    module
        One that `describe` takes, or that `build_module` made; the tensors are its own, not copies.

    Raises
    ------
    ModelError
        Where the module is another one.
    """
    leaves = list(module.layers) if isinstance(module, DescribedNetwork) else _trace(module)[0]
    return {
        f"layers.{index}.{name}": value.detach()
        for index, leaf in enumerate(leaves)
        for name in _WEIGHTS
        if isinstance(value := getattr(leaf, name, None), torch.Tensor)
    }


def _trace(module: nn.Module) -> tuple[list[nn.Module], Skips]:
    """Return the layers of a U-Net in the order of computation, and its skip connections."""
    from NativeDLLib.training.network import SmallUNet

    if isinstance(module, SmallUNet):
        stages = [module.entry, *module.down]
        return _u(stages, module.up, module.merge, module.head)
    kind = type(module)
    if kind.__name__ == "PlainConvUNet" and kind.__module__.startswith("dynamic_network_architectures."):
        decoder = module.decoder
        return _u(module.encoder.stages, decoder.transpconvs, decoder.stages, decoder.seg_layers[-1])
    raise ModelError(f"a network of type {kind.__name__} cannot be described; SmallUNet and PlainConvUNet can")


def _u(down: Any, up: Any, merge: Any, head: nn.Module) -> tuple[list[nn.Module], Skips]:
    leaves, ends, skips = list[nn.Module](), list[int](), Skips()
    for stage in down:
        leaves += _leaves(stage)
        ends.append(len(leaves) - 1)
    for rise, stage, end in zip(up, merge, ends[-2::-1], strict=True):
        skips.append((end, len(leaves)))
        leaves += [rise, *_leaves(stage)]
    return [*leaves, head], skips


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    # nnU-Net's blocks hold each layer twice: by its role, and in a sequence under one of these names.
    inner = getattr(module, "convs", getattr(module, "all_modules", module))
    if isinstance(inner, nn.Sequential):
        for child in inner:
            yield from _leaves(child)
    else:
        yield module


_CONVOLUTION = (nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)


def _row(leaf: nn.Module) -> dict[str, Any]:
    for kinds, write in _WRITERS:
        if type(leaf) in kinds:
            return write(leaf)
    raise ModelError(f"a layer of type {type(leaf).__name__} cannot be described")


def _short(values: Any) -> int | list[int]:
    numbers = [int(n) for n in (values if isinstance(values, (tuple, list)) else [values])]
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _convolution(leaf: Any) -> dict[str, Any]:
    if isinstance(leaf.padding, str) or leaf.padding_mode != "zeros":
        raise ModelError("a convolution that is not padded with a number of zeros cannot be described")
    row = {"filters": leaf.out_channels, "kernel_size": _short(leaf.kernel_size), "stride": _short(leaf.stride)}
    row |= {"padding": _short(leaf.padding), "bias": leaf.bias is not None}
    if isinstance(leaf, _CONVOLUTION):
        extra = {"dilation": _short(leaf.dilation), "groups": leaf.groups}
        return {"type": "convolution", **row, **extra}
    if leaf.groups > 1 or _short(leaf.dilation) != 1:
        raise ModelError("a transposed convolution with groups or dilation cannot be described")
    return {"type": "transposed_convolution", **row, "output_padding": _short(leaf.output_padding)}


def _normalisation(kind: str, tracked: bool) -> Callable[[Any], dict[str, Any]]:
    def write(leaf: Any) -> dict[str, Any]:
        if leaf.track_running_stats != tracked:
            raise ModelError(f"a {kind} with{'' if not tracked else 'out'} running statistics cannot be described")
        return {"type": kind, "epsilon": leaf.eps, "affine": leaf.affine}

    return write


def _dropout(leaf: Any) -> dict[str, Any]:
    return {"type": "dropout", "rate": leaf.p, "whole_channels": type(leaf) is not nn.Dropout}


def _pooling(kind: str) -> Callable[[Any], dict[str, Any]]:
    def write(leaf: Any) -> dict[str, Any]:
        plain = not leaf.ceil_mode and _short(getattr(leaf, "dilation", 1)) == 1
        if not plain or not getattr(leaf, "count_include_pad", True) or getattr(leaf, "divisor_override", None):
            raise ModelError(f"a {kind} with dilation, rounding up or a divisor of its own cannot be described")
        sizes = {name: _short(getattr(leaf, name)) for name in ("kernel_size", "stride", "padding")}
        return {"type": kind, **sizes}

    return write


def _plain(kind: str) -> Callable[[Any], dict[str, Any]]:
    return lambda leaf: {"type": kind}


_WRITERS: Sequence[tuple[tuple[type, ...], Callable[[Any], dict[str, Any]]]] = (
    ((*_CONVOLUTION, *_TRANSPOSED), _convolution),
    ((nn.MaxPool2d, nn.MaxPool3d), _pooling("max_pooling")),
    ((nn.AvgPool2d, nn.AvgPool3d), _pooling("average_pooling")),
    ((nn.InstanceNorm2d, nn.InstanceNorm3d), _normalisation("instance_normalisation", False)),
    ((nn.BatchNorm2d, nn.BatchNorm3d), _normalisation("batch_normalisation", True)),
    ((nn.Dropout, nn.Dropout2d, nn.Dropout3d), _dropout),
    ((nn.LeakyReLU,), lambda leaf: {"type": "leaky_relu", "slope": leaf.negative_slope}),
    ((nn.ELU,), lambda leaf: {"type": "elu", "alpha": leaf.alpha}),
    ((nn.GELU,), lambda leaf: {"type": "gelu", "approximate": leaf.approximate == "tanh"}),
    ((nn.PReLU,), lambda leaf: {"type": "prelu", "per_channel": leaf.num_parameters > 1}),
    ((nn.ReLU,), _plain("relu")),
    ((nn.SiLU,), _plain("silu")),
)
