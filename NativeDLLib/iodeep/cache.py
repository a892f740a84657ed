"""What was pulled: verified models by the UID and digest they came with, as a registry layer."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from NativeDLLib.dicom.iodeep_reader import ReceivedModel
from NativeDLLib.errors import ModelError
from NativeDLLib.files import write_json
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_registry, pulled_registry


@contextmanager
def staging() -> Iterator[Path]:
    """Give an empty folder on the cache's disk, gone after the block."""
    root = pulled_registry().parent
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def known(series_uid: str) -> dict[str, Any] | None:
    """Return what is known of an object that was pulled before and is in force: id, version, digest and signer."""
    row = _index().get(series_uid)
    if row is None:
        return None
    entry = _entries().get(row["id"])
    # A version pulled later has taken its place, or someone has cleared the cache.
    if entry is None or not _is_there(entry, row):
        return None
    return row


def install(received: ReceivedModel, staged: Path, series_uid: str, signer: str | None, peer: str) -> Model:
    """Put a model that was read and whose signer was judged into force, in place of another one of its id.

    Parameters
    ----------
    received, staged
        The model and the folder that it was read to.
    series_uid
        Of the object, so that it is not fetched again.
    signer
        Name of the trusted key, None where the user agreed to do without.
    peer
        Where it came from.

    Returns
    -------
    Model
        As the registry has it now.
    """
    root, model = pulled_registry().parent, received.model
    place = root / received.place
    entries = _entries()
    before = entries.pop(model.id, None)
    entries[model.id] = dict(model.data)
    if (staged / received.place).is_dir():
        # What lies there already may be damaged; the weights just read are whole.
        shutil.rmtree(place, ignore_errors=True)
        (staged / received.place).replace(place)
    row = {"id": model.id, "version": model.version, "digest": received.digest, "signer": signer, "peer": peer}
    write_json(pulled_registry(), {"schema_version": "1.0", "models": list(entries.values())})
    write_json(_index_file(), _index() | {series_uid: row})
    if before is not None:
        _remove_weights(before, entries[model.id])
    return next(found for found in load_registry(pulled_registry()) if found.id == model.id)


def _is_there(entry: dict[str, Any], row: dict[str, Any]) -> bool:
    if "url" in entry["weights"]:
        return bool(entry["version"] == row["version"])
    path = pulled_registry().parent / str(entry["weights"].get("file") or entry["weights"]["folder"])
    return _place(entry) == row["digest"][:32] and path.exists()


def _place(entry: dict[str, Any]) -> str | None:
    weights = entry["weights"]
    return None if "url" in weights else str(weights.get("file") or weights["folder"]).partition("/")[0]


def _remove_weights(before: dict[str, Any], now: dict[str, Any]) -> None:
    place = _place(before)
    if place is not None and place != _place(now):
        shutil.rmtree(pulled_registry().parent / place, ignore_errors=True)


def _entries() -> dict[str, dict[str, Any]]:
    if not pulled_registry().is_file():
        return {}
    return {model.id: dict(model.data) for model in load_registry(pulled_registry())}


def _index_file() -> Path:
    return pulled_registry().with_name("objects.json")


def _index() -> dict[str, dict[str, Any]]:
    try:
        index: dict[str, dict[str, Any]] = json.loads(_index_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{_index_file()}: is damaged ({error}); remove it and pull again") from error
    return index
