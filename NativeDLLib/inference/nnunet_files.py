"""Files of an nnU-Net results folder: checkpoints, read without executing a pickle, and plans, made into a network.

nnU-Net finds a class by walking along a name of the plans, which leads from any module to all that it imports. Here a
name is only looked up: in a list of torch's layers, and in one of nnU-Net's U-Nets.
"""

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import check_schema, parse_json
from NativeDLLib.inference.confined import load_tensors

# Variants of nnU-Net's trainer (nnunetv2.training.nnUNetTrainer) that train the network of the plans as it is.
_SAME_NETWORK = re.compile(
    r"nnUNetTrainer(_?(\d+ep(ochs?)?|NoMirroring|onlyMirror01|NoDA|DA5(Segord0|ord0)?|DASegOrd0|noDummy2DDA|CosAnneal"
    r"|NoDeepSupervision|(CE|Dice|DiceTopK10|Topk10)Loss(LS01)?|DiceCELoss_noSmooth|(Vanilla)?Ada[mn](\den\d)?|warmup"
    r"|probabilisticOversampling(_\d+)?))*"
)


def keeps_network(trainer: str) -> bool:
    """Whether a trainer is known to train the network of the plans; the name alone tells nothing of any other one."""
    return _SAME_NETWORK.fullmatch(trainer) is not None


@dataclass(frozen=True)
class Checkpoint:
    """One fold for inference: weights, configuration name, trainer name, and the axes that may be mirrored."""

    weights: dict[str, Any]
    configuration: str
    trainer: str
    mirror_axes: tuple[int, ...]


def find_folds(folder: Path, folds: Sequence[int | str] | None, name: str) -> list[Path]:
    """Checkpoints of the given folds, or of all there are; ModelError where one is missing, or there is none."""
    if folds is None:
        # nnU-Net, too, takes 'fold_all' only where it is asked for or the only one.
        paths = sorted(folder.glob(f"fold_[0-9]*/{name}")) or sorted(folder.glob(f"fold_all/{name}"))
    else:
        paths = [folder / f"fold_{fold}" / name for fold in folds]
    for path in paths or [folder / "fold_*" / name]:
        if not path.is_file():
            raise ModelError(f"{path}: is not there")
    return paths


def load_checkpoint(content: bytes, path: Path) -> Checkpoint:
    """Checkpoint of nnU-Net's trainer; the path is for messages. ModelError where it is damaged, holds anything but
    tensors and plain values, or is not nnU-Net's.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_plain_numpy()):
            found = load_tensors(content)
        axes = found.get("inference_allowed_mirroring_axes")
        weights = {key.removeprefix("module."): value for key, value in found["network_weights"].items()}
        for name, value in weights.items():
            # A tensor of a few numbers can pretend to be one of any size, until it is computed with.
            if value.untyped_storage().nbytes() < value.numel() * value.element_size():
                raise ValueError(f"{name} is larger than the file")
        configuration, trainer = str(found["init_args"]["configuration"]), str(found["trainer_name"])[:120]
        return Checkpoint(weights, configuration, trainer, tuple(int(axis) for axis in axes or ()))
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path}: holds more than tensors and plain values, so it is not loaded") from error
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError, EOFError, OSError, MemoryError) as error:
        raise ModelError(f"{path}: is not a checkpoint of nnU-Net, or is damaged") from error


def _plain_numpy() -> list[Any]:
    """Types of NumPy numbers and arrays in a training log; none of them executes anything."""
    makers: list[Any] = [np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    # The module moved with NumPy 2; checkpoints written before it still name the old place.
    places = [(make, f"numpy.{core}.multiarray.{make.__name__}") for make in makers for core in ("core", "_core")]
    return [np.dtype, np.ndarray, *kinds, *makers, *places]


_LAYERS = {
    "conv_op": {"Conv2d", "Conv3d"},
    "norm_op": {*("InstanceNorm2d", "InstanceNorm3d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"), "Identity"},
    "dropout_op": {"Dropout", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"},
    "nonlin": {
        *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Hardswish"),
        *("Softplus", "Tanh", "Sigmoid", "Identity"),
    },
}
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
_BLOCKS = ("BasicBlockD", "BottleneckD")
_SCHEMA, _OF_NNUNET = "nnunet.schema.json", "dynamic_network_architectures."


def stored_orientation(plans: Mapping[str, Any]) -> str | None:
    """Orientation in which nnU-Net reads images, where its reader turns them; None where it takes them as stored."""
    return "RAS" if plans.get("image_reader_writer") == "NibabelIOWithReorient" else None


def read_plans(folder: Path, read: Callable[[str], bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Content of ``plans.json`` and ``dataset.json`` of a results folder, given a reader of its files by name.
    ModelError where they cannot be read, or their labels, axes or intensities are impossible.
    """
    names = ("plans.json", "dataset.json")
    plans, dataset = (parse_json(read(name), str(folder / name), ModelError) for name in names)
    check_schema({"plans": plans, "dataset": dataset}, _SCHEMA, folder, ModelError, "")
    channels = dataset.get("channel_names", dataset.get("modality", {}))
    if len(channels) != 1:
        raise ModelError(f"{folder}: takes {len(channels)} channels; a series gives one")
    return plans, dataset


def check_configuration(folder: Path, configuration: dict[str, Any]) -> None:
    """Raise ModelError where a configuration, with all that it inherits, is no network of names in our lists."""
    check_schema({"configuration": configuration}, _SCHEMA, folder, ModelError, "")
    _class_and_arguments(folder, configuration["architecture"])
    if configuration.get("previous_stage") is not None:
        raise ModelError(f"{folder}: is the second stage of a cascade; use a configuration that stands alone")


def make_unet(folder: Path, architecture: Any, classes: int) -> Any:
    """Return the network of checked plans, without memory for its weights, which a checkpoint brings all."""
    import torch

    network, arguments = _class_and_arguments(folder, architecture)
    with torch.device("meta"):
        return network(input_channels=1, num_classes=classes, **(arguments | {"deep_supervision": False}))


def _class_and_arguments(folder: Path, architecture: Any) -> tuple[Any, dict[str, Any]]:
    """Class of a network, and its arguments with classes in place of their names."""
    import torch
    from dynamic_network_architectures.architectures import unet
    from dynamic_network_architectures.building_blocks import residual

    name, arguments = architecture["network_class_name"], dict(architecture["arch_kwargs"])
    network = name.rpartition(".")[2]
    # The module of a class has changed with nnU-Net's versions, the name of the class has not.
    if network not in _NETWORKS or not (name == network or name.startswith(f"{_OF_NNUNET}architectures.")):
        raise ModelError(f"{folder}: its network '{name[:80]}' is not one of nnU-Net's U-Nets, so it is not imported")
    for key, allowed in _LAYERS.items():
        if (layer := arguments.get(key)) is None:
            continue
        short = layer.rpartition(".")[2]
        kind = _module_class(torch.nn, short, "torch.nn.modules.") if short in allowed else None
        if kind is None or layer not in (f"torch.nn.{short}", f"{kind.__module__}.{short}"):
            raise ModelError(f"{folder}: its {key} '{layer[:80]}' is not a layer of torch, so it is not imported")
        arguments[key] = kind
    if (block := arguments.get("block")) is not None:
        if block not in [f"{_OF_NNUNET}building_blocks.residual.{known}" for known in _BLOCKS]:
            raise ModelError(f"{folder}: its block '{block[:80]}' is not one of nnU-Net's, so it is not imported")
        arguments["block"] = _module_class(residual, block.rpartition(".")[2], _OF_NNUNET)
    return _module_class(unet, network, _OF_NNUNET), arguments


def _module_class(package: Any, name: str, place: str) -> Any:
    import torch

    kind = vars(package)[name]
    if not (issubclass(kind, torch.nn.Module) and kind.__module__.startswith(place)):
        raise ModelError(f"{name} of {package.__name__} is not the layer that it was")
    return kind
