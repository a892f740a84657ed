"""Finding a model's weights and making sure that they are the ones the registry means, before anything reads them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from NativeDLLib.errors import ModelError
from NativeDLLib.files import sha256
from NativeDLLib.registry.entry import Model


def models_folder() -> Path:
    """Return the cache of downloaded models: ``NATIVEDL_MODELS`` or ``~/.nativedl/models``."""
    return Path(os.environ.get("NATIVEDL_MODELS") or Path.home() / ".nativedl" / "models").expanduser()


def find_weights(model: Model) -> Path:
    """Return where a model's weights lie, unchecked.

    Raises
    ------
    ModelError
        Where they are not there, or lie outside their root.
    """
    weights = model.weights
    root = models_folder() / model.id if "url" in weights else model.registry.parent
    path = root / str(weights.get("file") or weights["folder"])
    if not _is_inside(path, root):
        raise ModelError(f"model {model.id}: its weights {path} lead out of {root}")
    if not path.exists():
        source = f"; get it from {weights['url']}" if "url" in weights else ""
        raise ModelError(f"model {model.id}: its weights {path} are not there{source}")
    return path


def verified_weights(model: Model) -> tuple[Path, str]:
    """Find the weights file, or nnU-Net's results folder, of a model and check its digests.

    Returns
    -------
    path, digest
        The SHA-256 of the file; of a folder, that of the list of its plans' and checkpoints' digests.

    Raises
    ------
    ModelError
        Where it is not there, lies outside its root, or is not what the registry says.
    """
    weights, path = model.weights, find_weights(model)
    if "file" in weights:
        return path, _check_file(model, path, weights["sha256"], weights.get("size"))
    if not path.is_dir():
        raise ModelError(f"model {model.id}: {path} is not a folder")
    declared = weights.get("files", {})
    checkpoint = weights.get("checkpoint", "checkpoint_final.pth")
    names = {"plans.json", "dataset.json", *declared} | {
        f"{f.parent.name}/{f.name}" for f in path.glob(f"*/{checkpoint}")
    }
    digests = []
    for name in sorted(names):
        if not _is_inside(path / name, path):
            raise ModelError(f"model {model.id}: {path / name} leads out of {path}")
        digests.append(f"{name} {_check_file(model, path / name, declared.get(name), None)}")
    return path, hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _is_inside(path: Path, root: Path) -> bool:
    # Path.resolve raises RuntimeError at a link to itself, which then is simply not there.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _check_file(model: Model, path: Path, digest: str | None, size: int | None) -> str:
    if not path.is_file():
        raise ModelError(f"model {model.id}: {path} is not there")
    try:
        if size is not None and path.stat().st_size != size:
            raise ModelError(f"model {model.id}: {path} has {path.stat().st_size} bytes instead of {size}")
        found = sha256(path)
    except OSError as error:
        raise ModelError(f"model {model.id}: {path} cannot be read ({error.strerror})") from error
    if digest is not None and found != digest:
        raise ModelError(
            f"model {model.id}: {path} is not the file that the registry means (SHA-256 {found[:12]}... instead of "
            f"{digest[:12]}...); restore it or correct the entry"
        )
    return found
