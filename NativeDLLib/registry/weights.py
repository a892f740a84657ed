"""Finding a model's weights and making sure that they are the ones the registry means, before anything reads them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import sha256
from NativeDLLib.core.places import kept
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.fetched import read_lock


def models_folder() -> Path:
    """Return the cache of downloaded models: ``NATIVEDL_MODELS`` or ``~/.nativedl/models``."""
    return kept("models")


def to_be_fetched(model: Model) -> bool:
    """Tell whether a model's weights are at a URL and have not been fetched yet."""
    return "url" in model.weights and not _path(model).exists()


def find_weights(model: Model) -> Path:
    """Return where a model's weights lie, unchecked.

    Raises
    ------
    ModelError
        Where they are not there, or lie outside their root.
    """
    path, root = _path(model), _root(model)
    if not _is_inside(path, root):
        raise ModelError(f"model {model.id}: its weights {path} lead out of {root}")
    if to_be_fetched(model):
        raise ModelError(f"model {model.id}: its weights are to be fetched first", hint=fetch_hint(model))
    if not path.exists():
        raise ModelError(f"model {model.id}: its weights {path} are not there")
    return path


def fetch_hint(model: Model) -> str:
    """Return the command that fetches a model's weights, as a hint."""
    return f"fetch them with: nativedl models fetch {model.id}"


def verified_weights(model: Model) -> tuple[Path, str]:
    """Find the weights file, or nnU-Net's results folder, of a model and check its digests.

    Returns
    -------
    path, digest
        The SHA-256 of the file; of a folder, that of the list of its plans' and checkpoints' digests.

    Raises
    ------
    ModelError
        Where it is not there, lies outside its root, or is not what the registry says or what was fetched.
    """
    weights, path = model.weights, find_weights(model)
    if "file" in weights:
        return path, _check_file(model, path, weights["sha256"], weights.get("size"))
    if not path.is_dir():
        raise ModelError(f"model {model.id}: {path} is not a folder")
    digests = file_digests(model, path)
    if "url" in weights:
        _check_fetched(model, path, digests)
    listed = "\n".join(f"{name} {digest}" for name, digest in digests.items())
    return path, hashlib.sha256(listed.encode()).hexdigest()


def file_digests(model: Model, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an nnU-Net results folder that is used, in order, checked where declared.

    Raises
    ------
    ModelError
        Where one is not there, lies outside the folder, or is not what the registry says.
    """
    declared = model.weights.get("files", {})
    checkpoint = model.weights.get("checkpoint", "checkpoint_final.pth")
    names = {"plans.json", "dataset.json", *declared} | {
        f"{f.parent.name}/{f.name}" for f in folder.glob(f"*/{checkpoint}")
    }
    digests = {}
    for name in sorted(names):
        if not _is_inside(folder / name, folder):
            raise ModelError(f"model {model.id}: {folder / name} leads out of {folder}")
        digests[name] = _check_file(model, folder / name, declared.get(name), None)
    return digests


def _check_fetched(model: Model, folder: Path, digests: Mapping[str, str]) -> None:
    """Check that a folder is as it was fetched; one whose files the registry declares may have come in any way."""
    if digests.keys() <= model.weights.get("files", {}).keys():
        return
    fetched = read_lock(models_folder(), model.id)
    again = fetch_hint(model)
    if fetched is None:
        raise ModelError(f"model {model.id}: there is no record of what was fetched into {folder}", hint=again)
    if fetched.url != model.weights["url"]:
        raise ModelError(
            f"model {model.id}: was fetched from {fetched.url}, which the registry no longer names", hint=again
        )
    changed = sorted(dict(digests.items() ^ fetched.files.items()))
    if changed:
        raise ModelError(f"model {model.id}: {folder / changed[0]} is not what was fetched", hint=again)


def _root(model: Model) -> Path:
    return models_folder() / model.id if "url" in model.weights else model.registry.parent


def _path(model: Model) -> Path:
    return _root(model) / str(model.weights.get("file") or model.weights["folder"])


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
