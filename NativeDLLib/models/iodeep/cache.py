"""Pulled models: verified, by the UID and digest they came with, as a registry layer."""

import json
import shutil
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.places import resources_folder
from NativeDLLib.models.add.install import remove_copy
from NativeDLLib.models.iodeep.elements import mark
from NativeDLLib.models.iodeep.object_reader import ReceivedModel
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_registry, pulled_registry

_KEYS = ("id", "version", "digest", "mark", "signer", "peer")


def newest(version: str) -> tuple[Version, str]:
    """Return a key that sorts versions by age; what is no version is older than any."""
    try:
        return Version(version), version
    except InvalidVersion:
        return Version("0.dev0"), version


def known(series_uid: str, content_mark: str) -> tuple[Model, str | None] | None:
    """Model of an object that was pulled before, and its signer; None where it is to be fetched. `content_mark` is the
    peer's word about content and signer: another copy of both need not be fetched.
    """
    for uid, row in _index().items():
        if series_uid == uid or (content_mark and content_mark == row["mark"]):
            model = _models().get(row["id"])
            if model is None:
                continue
            # A version pulled later may have taken its place, or someone has cleared the cache.
            folder = row["digest"][:32]
            if model.weights.url:
                is_here = model.version == row["version"]
            else:
                is_here = model.weights.place.startswith(f"{folder}/") and (model.registry.parent / folder).is_dir()
            if is_here:
                return model, row["signer"]
    return None


def objections(model: Model, signer: str | None) -> list[str]:
    """Reasons why a model may not take a place unasked: that of a bundled one, of a newer one, or another signer's."""
    found, here = [], _models()
    if model.id not in here and model.id in {row.id for row in load_registry(resources_folder() / "registry.json")}:
        found.append("has the id of a model that comes with this program")
    if model.id in here and newest(model.version) < newest(here[model.id].version):
        found.append(f"is older than version {here[model.id].version}, which is here")
    # The last one that was pulled, also where it was removed since: an id stays its signer's.
    before = {row["id"]: row["signer"] for row in _index().values()}.get(model.id)
    if before is not None and signer != before:
        found.append(f"is signed by {signer or 'nobody whom you trust'}, while this id was signed by {before}")
    return found


def install(received: ReceivedModel, staged: Path, series_uid: str, signer: str | None, peer: str) -> Model:
    """Put a received model, whose signer was checked, into force in place of another one of its id. `staged` is the
    folder that it was read to, `signer` the name of the trusted key, None where the user agreed to do without. Returns
    the registry's entry.
    """
    root, model = pulled_registry().parent, received.model
    before = _models()
    if (staged / received.place).is_dir():
        # What lies there already may be damaged; the weights just read are whole.
        shutil.rmtree(root / received.place, ignore_errors=True)
        (staged / received.place).replace(root / received.place)
    entries = [found.data for found in (before | {model.id: model}).values()]
    row = {"id": model.id, "version": model.version, "digest": received.digest, "signer": signer, "peer": peer}
    row["mark"] = mark(received.statement, received.public_key)
    write_json(pulled_registry(), {"schema_version": "1.0", "models": entries})
    others = {uid: known for uid, known in _index().items() if uid != series_uid}
    write_json(_index_file(), others | {series_uid: row})
    if model.id in before:
        remove_copy(before[model.id], target=received.place)
    return _models()[model.id]


def _models() -> dict[str, Model]:
    file = pulled_registry()
    return {model.id: model for model in load_registry(file)} if file.is_file() else {}


def _index_file() -> Path:
    return pulled_registry().with_name("objects.json")


def _index() -> dict[str, dict[str, Any]]:
    try:
        index = json.loads(_index_file().read_text(encoding="utf-8"))
        return {uid: {key: row[key] and str(row[key]) for key in _KEYS} for uid, row in index.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ModelError(f"{_index_file()}: is damaged; remove it and pull again") from error
