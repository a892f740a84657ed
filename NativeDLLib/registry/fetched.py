"""The lock files: what was downloaded once, and by which digests it is known from then on.

There is one for each model, beside the weights in the cache, so that a cache that several people share is checked for
each of them. It outlives the weights: what is fetched again must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.jsonfile import read_json


@dataclass(frozen=True)
class Fetched:
    """What was downloaded.

    Attributes
    ----------
    url
        Where it came from, by the registry entry.
    sha256, size
        Of what was downloaded; the size in bytes.
    files
        SHA-256 of what was unpacked from it and is used, by path in the weights' folder.
    """

    url: str
    sha256: str
    size: int
    files: Mapping[str, str]


def lock_file(cache: Path, model_id: str) -> Path:
    """Return the lock file of a model."""
    # No model's id begins with an underscore, so that none has this folder for its downloads.
    return cache / "_locks" / f"{model_id}.json"


def read_lock(cache: Path, model_id: str) -> Fetched | None:
    """Return what was recorded for a model, None where nothing was.

    Raises
    ------
    ModelError
        Where the lock file is damaged.
    """
    path = lock_file(cache, model_id)
    if not path.exists():
        return None
    row = read_json(path, ModelError)
    try:
        files = {str(name): str(digest) for name, digest in row["files"].items()}
        return Fetched(str(row["url"]), str(row["sha256"]), int(row["size"]), files)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: is damaged, so nothing says what the weights of {model_id} should be",
            hint=f"if you know it, nativedl models remove {model_id} --forget, and fetch them again",
        ) from error


def write_lock(cache: Path, model_id: str, fetched: Fetched) -> None:
    """Record what was downloaded for a model."""
    write_json(lock_file(cache, model_id), asdict(fetched))
