"""Finding a model's weights and making sure that they are the ones the registry means, before anything reads them."""

from __future__ import annotations

import os
from pathlib import Path

from NativeDLLib.errors import ModelError
from NativeDLLib.files import sha256
from NativeDLLib.registry.entry import Model


def models_folder() -> Path:
    """Return the cache of downloaded models: ``NATIVEDL_MODELS`` or ``~/.nativedl/models``."""
    return Path(os.environ.get("NATIVEDL_MODELS") or Path.home() / ".nativedl" / "models").expanduser()


def weights_path(model: Model) -> Path:
    """Return the weights file, or nnU-Net's results folder, of a model after checking its digests.

    Raises
    ------
    ModelError
        Where it is not there, lies outside its root, or is not what the registry says.
    """
    weights = model.weights
    root = models_folder() / model.id if "url" in weights else model.registry.parent
    path = root / str(weights.get("file") or weights["folder"])
    if not path.resolve().is_relative_to(root.resolve()):
        raise ModelError(f"model {model.id}: its weights {path} lead out of {root}")
    if not path.exists():
        source = f"; get it from {weights['url']}" if "url" in weights else ""
        raise ModelError(f"model {model.id}: its weights {path} are not there{source}")
    if "file" in weights:
        _check_file(model, path, weights["sha256"], weights.get("size"))
        return path
    if not path.is_dir():
        raise ModelError(f"model {model.id}: {path} is not a folder")
    for name, digest in weights.get("files", {}).items():
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()) or not file.is_file():
            raise ModelError(f"model {model.id}: {file} is not there")
        _check_file(model, file, digest, None)
    return path


def _check_file(model: Model, path: Path, digest: str, size: int | None) -> None:
    if not path.is_file():
        raise ModelError(f"model {model.id}: {path} is not a file")
    try:
        if size is not None and path.stat().st_size != size:
            raise ModelError(f"model {model.id}: {path} has {path.stat().st_size} bytes instead of {size}")
        found = sha256(path)
    except OSError as error:
        raise ModelError(f"model {model.id}: {path} cannot be read ({error.strerror})") from error
    if found != digest:
        raise ModelError(
            f"model {model.id}: {path} is not the file that the registry means (SHA-256 {found[:12]}... instead of "
            f"{digest[:12]}...); restore it or correct the entry"
        )
