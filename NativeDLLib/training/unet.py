"""nnU-Net's plain U-Net (Isensee et al. 2021) as its weights alone describe it, and weights to start from."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.network import require
from NativeDLLib.inference.nnunet_files import find_folds, load_checkpoint
from NativeDLLib.inference.onnx_file import OnnxFile
from NativeDLLib.inference.pt2_archive import Pt2Archive
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights

CLASS_NAME = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
TYPES = {
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "dropout_op": None,
    "nonlin": "torch.nn.LeakyReLU",
}
"""Arguments of the network that nnU-Net's plans name by their import path."""

Triple = tuple[int, int, int]
_CONVOLUTION = re.compile(r"encoder\.stages\.(\d+)\.0\.convs\.(\d+)\.conv\.weight")
_MERGE = re.compile(r"decoder\.stages\.(\d+)\.convs\.(\d+)\.conv\.weight")


@dataclass(frozen=True)
class Architecture:
    """Shape of a plain U-Net: one value a resolution, the input's first; lists of three are (z, y, x)."""

    features: tuple[int, ...] = (16, 32, 64, 96, 128)  # channels
    kernels: tuple[tuple[int, ...], ...] = ((3, 3, 3),) * 5
    strides: tuple[tuple[int, ...], ...] = ((1, 1, 1), *((2, 2, 2),) * 4)  # a stage begins with its stride
    convolutions: tuple[int, ...] = (2,) * 5
    decoder_convolutions: tuple[int, ...] = (2,) * 4  # begin with the coarsest and are one fewer
    bias: bool = False  # whether a convolution before a normalisation has one

    @property
    def divisor(self) -> Triple:
        """Numbers of which the sides (z, y, x) of a patch must be multiples."""
        z, y, x = (math.prod(steps) for steps in zip(*self.strides, strict=True))
        return z, y, x

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the network's arguments as nnU-Net's plans have them, but for those in `TYPES`."""
        return {
            "n_stages": len(self.features),
            "features_per_stage": list(self.features),
            "kernel_sizes": [list(kernel) for kernel in self.kernels],
            "strides": [list(stride) for stride in self.strides],
            "n_conv_per_stage": list(self.convolutions),
            "n_conv_per_stage_decoder": list(self.decoder_convolutions),
            "conv_bias": self.bias,
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op_kwargs": None,
            "nonlin_kwargs": {"inplace": True},
        }

    def build(self, classes: int) -> nn.Module:
        """Network with new weights; `classes` counts the background."""
        unets = require("dynamic_network_architectures.architectures.unet", "train")
        network: nn.Module = unets.PlainConvUNet(
            input_channels=1,
            num_classes=classes,
            conv_op=nn.Conv3d,
            norm_op=nn.InstanceNorm3d,
            nonlin=nn.LeakyReLU,
            deep_supervision=True,
            **self.arguments,
        )
        network.apply(unets.InitWeights_He(1e-2))
        return network

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "Architecture":
        """Architecture of weights with canonical names; ModelError where they are of another network."""
        encoder, decoder = _grid(_CONVOLUTION, weights), _grid(_MERGE, weights)
        try:
            rises = [weights[f"decoder.transpconvs.{i}.weight"].shape[2:] for i in range(len(decoder))]
            firsts = [weights[f"encoder.stages.{i}.0.convs.0.conv.weight"].shape for i in range(len(encoder))]
            if len(encoder) != len(decoder) + 1 or firsts[0][1] != 1 or any(len(shape) != 5 for shape in firsts):
                raise KeyError("its stages do not fit")
            return cls(
                features=tuple(shape[0] for shape in firsts),
                kernels=tuple(tuple(shape[2:]) for shape in firsts),
                # The way up undoes the way down; nothing but its size tells a stride.
                strides=((1, 1, 1), *(tuple(rise) for rise in reversed(rises))),
                convolutions=encoder,
                decoder_convolutions=decoder,
                bias="encoder.stages.0.0.convs.0.conv.bias" in weights,
            )
        except KeyError as error:
            raise ModelError("its weights are not those of a PlainConvUNet for one channel") from error


def canonical(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights once each: the network holds its layers under several names, and exports keep any of them."""
    names = {}
    for name, value in weights.items():
        name = name.removeprefix("module.").replace("decoder.encoder.", "encoder.")
        names[name.replace(".all_modules.0.", ".conv.").replace(".all_modules.1.", ".norm.")] = value
    return names


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Put canonical weights into a network; returns the names of those that keep their new values. Only outputs may
    keep them: an exported network has the finest output alone, and other classes need another one.
    """
    own = canonical(network.state_dict())
    kept = [name for name, value in own.items() if name not in weights or weights[name].shape != value.shape]
    foreign = [name for name in kept if not name.startswith("decoder.seg_layers.")]
    if foreign:
        raise ModelError(f"its weights lack {foreign[0]}" + (f" and {len(foreign) - 1} more" if foreign[1:] else ""))
    with torch.no_grad():
        for name, value in own.items():
            if name not in kept:
                value.copy_(weights[name])
    return kept


def _grid(pattern: re.Pattern[str], weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return how many convolutions each stage has."""
    places = {(int(m[1]), int(m[2])) for name in weights if (m := pattern.fullmatch(name))}
    stages = max((stage for stage, _ in places), default=-1) + 1
    return tuple(sum(s == stage for s, _ in places) for stage in range(stages))


def start_weights(model: Model) -> tuple[dict[str, Tensor], str]:
    """Weights of a model by canonical names, and their digest; ModelError where they do not keep names of layers."""
    weights = Weights(model)
    if model.architecture is not None:
        raise ModelError(f"model {model.id}: its network is described as JSON; training starts from a PlainConvUNet")
    try:
        if model.runtime == "nnunetv2":
            # Of an ensemble the first is as good a start as any other.
            path = find_folds(weights.path, model.weights.folds, model.weights.checkpoint)[0]
            found = load_checkpoint(weights.read(f"{path.parent.name}/{path.name}"), path).weights
        elif model.runtime == "onnx":
            onnx, content = require("onnx", "train"), weights.read()
            OnnxFile(content, weights.path).check_alone()
            tensors = onnx.load_model_from_string(content).graph.initializer
            found = {row.name: torch.from_numpy(onnx.numpy_helper.to_array(row).copy()) for row in tensors}
        else:
            found = Pt2Archive(weights.read(), weights.path).weights
    except ModelError:
        raise
    # What a damaged file makes of its reader ranges from KeyError to protobuf's and pickle's own errors.
    except Exception as error:
        raise ModelError(f"{weights.path}: its weights cannot be read; the file is damaged") from error
    return canonical(found), weights.digest
