"""A model whose weights are at a URL: what is there, fetching it as a person would, and what is left on disk."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tools import nativedl

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.fetch.download import download
from NativeDLLib.registry import Model, load_registry

RESULTS = "Dataset901_Random/nnUNetTrainer__nnUNetPlans__3d_fullres"


def packed(folder: Path) -> bytes:
    """Return a zip of what is in a folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        for path in sorted(folder.rglob("*")):
            target.write(path, path.relative_to(folder))
    return content.getvalue()


def digest_of(content: bytes) -> str:
    """Return the SHA-256."""
    return hashlib.sha256(content).hexdigest()


def fetch(registry: Path, *options: Any, code: int = 0, capsys: Any = None) -> str:
    """Fetch the model ``remote``, and return what is written on stderr where `capsys` is given."""
    if capsys:
        capsys.readouterr()
    assert nativedl("models", "fetch", "remote", *options, registry=registry) == code
    return str(capsys.readouterr().err) if capsys else ""


def left(cache: Path) -> list[str]:
    """Return the files in the cache, without the empty ones that say who works there."""
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file() and p.name != ".lock")


def model_of(registry: Path) -> Model:
    """Return the one model of a registry."""
    (model,) = load_registry(registry)
    return model


def download_from(url: str, tmp_path: Path, size: int | None = None, progress: Progress | None = None) -> bytes:
    """Download and return what came."""
    part = tmp_path / "part"
    download(url, part, size, progress or Progress())
    return part.read_bytes()


def download_refusal(url: str, tmp_path: Path, size: int | None = None) -> str:
    """Return why a download fails."""
    with pytest.raises(ModelError) as caught:
        download_from(url, tmp_path, size)
    return str(caught.value)
