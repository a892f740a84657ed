"""The checkpoints of an nnU-Net results folder, read without executing a pickle."""

import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.torch_file import load_tensors

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
        numbered = sorted(folder.glob(f"fold_[0-9]*/{name}"))
        paths = numbered or sorted(folder.glob(f"fold_all/{name}"))
    else:
        paths = [folder / f"fold_{fold}" / name for fold in folds]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise ModelError(f"{missing[0] if missing else folder / 'fold_*' / name}: is not there")
    return paths


def load_checkpoint(content: bytes, path: Path) -> Checkpoint:
    """Read the bytes of a checkpoint that nnU-Net's trainer wrote; the path is for messages.

    Raises
    ------
    ModelError
        Where it is damaged, holds anything but tensors and plain values, or is not nnU-Net's.
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
        return Checkpoint(
            weights=weights,
            configuration=str(found["init_args"]["configuration"]),
            trainer=str(found["trainer_name"])[:120],
            mirror_axes=tuple(int(axis) for axis in axes or ()),
        )
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds more than tensors and plain values, so it is not loaded ({str(error)[:200]})"
        ) from error
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError, EOFError, OSError) as error:
        raise ModelError(f"{path}: is not a checkpoint of nnU-Net ({str(error)[:200]})") from error


def _plain_numpy() -> list[Any]:
    """Types of NumPy numbers in a training log; none of them executes anything."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    # The module moved with NumPy 2; checkpoints written before it still name the old place.
    return [
        np.dtype,
        *kinds,
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
    ]
