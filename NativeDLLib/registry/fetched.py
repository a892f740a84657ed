"""The record of downloads: the digests by which a model's weights are known after their first download.

There is a file for each model beside the weights in the cache, so that everyone who shares a cache is protected. It
outlives the weights: the next download must be the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.jsonfile import read_json


@dataclass(frozen=True)
class Fetched:
    """A download: URL, SHA-256 and size in bytes of its file, and the SHA-256 of each unpacked file in use."""

    url: str
    sha256: str
    size: int
    files: Mapping[str, str]


def lock_file(cache: Path, model_id: str) -> Path:
    """Return the lock file of a model."""
    # No model's id begins with an underscore, so that none has this folder for its downloads.
    return cache / "_locks" / f"{model_id}.json"


def read_lock(cache: Path, model_id: str) -> Fetched | None:
    """Record of a model's download, None where there is none; ModelError where it is damaged."""
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
