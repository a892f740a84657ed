"""Checkpoint of a training on disk, from which it goes on with the same result."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.files import atomic_path
from NativeDLLib.training.config import SETTINGS, Config
from NativeDLLib.training.unet import Architecture

CHECKPOINT = "checkpoint.pt"


def fingerprint(config: Config, architecture: Architecture, start: str) -> str:
    """SHA-256 of everything that influences the result of a training.

    The allowed minutes are no part of it. `start` is the digest of the weights to start from, empty for new ones.
    """
    data = config.data
    schedule = [value for key, value in sorted(vars(config.schedule).items()) if "minutes" not in key]
    parts = [data["entry"]["input"], data["classes"], data["data"]["train"], schedule, config.mirror]
    parts += [{name: data[name] for name in SETTINGS if name in data}]
    text = json.dumps([*parts, repr(architecture), start], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, atomically: tensors and plain values by name."""
    with atomic_path(folder / CHECKPOINT) as temporary:
        torch.save(state, temporary)


def load_checkpoint(folder: Path, training: str) -> dict[str, Any]:
    """State in a folder's checkpoint.

    Raises
    ------
    InputError
        Where there is none, or it is damaged.
    UsageError
        Where the fingerprint is another than `training`.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"{path}: is not there, so there is nothing to resume", hint="leave out --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        other = state["training"]
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: is not a checkpoint of a training ({str(error)[:200]})") from error
    if other != training:
        raise UsageError(
            f"{path}: is of a training with other data, network or schedule; undo the change, or start "
            "again in another folder",
            hint="without --resume",
        )
    return state
