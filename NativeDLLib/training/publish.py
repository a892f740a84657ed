"""The registry entry of a trained model, its card, and putting both into a registry."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import atomic_path, sha256, write_json, write_text
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_registry
from NativeDLLib.training.card import card
from NativeDLLib.training.config import Config
from NativeDLLib.training.export import SUFFIXES
from NativeDLLib.training.nnunet_folder import FILES, FOLDER

REGISTRY = "registry.json"


def write_entry(config: Config, folder: Path, evaluation: Sequence[Mapping[str, Any]] = ()) -> Model:
    """Write ``registry.json`` and the model card beside the weights in a folder.

    ModelError where no registry takes the entry.
    """
    entry = dict(config.data["entry"]) | {"weights": _weights(config, folder)}
    if evaluation:
        entry["evaluation"] = [dict(row) for row in evaluation]
    entry["card"] = f"{config.model.id}.md"
    write_text(folder / entry["card"], card(config, entry))
    schema_version = {"schema_version": "1.0"}
    write_json(folder / REGISTRY, schema_version | {"models": [entry]})
    return load_registry(folder / REGISTRY)[0]


def publish(model: Model, registry: Path, pictures: Iterable[str] = ()) -> None:
    """Put a trained model into a registry file: weights, card and `pictures` into ``models`` beside it, and the entry.

    An older entry of the same id is replaced. ModelError where the registry cannot be read.
    """
    data: dict[str, Any] = {"schema_version": "1.0", "models": []}
    if registry.exists():
        load_registry(registry)
        data = read_json(registry, ModelError)
    source, target = model.registry.parent, registry.parent / "models"
    entry: dict[str, Any] = json.loads(json.dumps(dict(model.data)))
    kind = "folder" if model.weights.is_folder else "file"
    name, card_name = model.weights.place, str(model.data["card"])
    # Two models have folders of the same name.
    placed = name if kind == "file" else f"{model.id}/{name}"
    entry["weights"][kind], entry["card"] = f"models/{placed}", f"models/{card_name}"
    pairs = {card_name: card_name} | {picture: picture for picture in pictures}
    pairs |= {f"{name}/{file}": f"{placed}/{file}" for file in FILES} if kind == "folder" else {name: placed}
    for there, here in pairs.items():
        with atomic_path(target / here) as temporary:
            shutil.copyfile(source / there, temporary)
    places = [index for index, other in enumerate(data["models"]) if other["id"] == model.id]
    place = places[0] if places else len(data["models"])
    data["models"][place : place + 1] = [entry]
    write_json(registry, data)
    load_registry(registry)


def _weights(config: Config, folder: Path) -> dict[str, Any]:
    if config.model.runtime == "nnunetv2":
        return {"folder": FOLDER, "files": {name: sha256(folder / FOLDER / name) for name in FILES}}
    path = folder / f"{config.model.id}{SUFFIXES[config.model.runtime]}"
    return {"file": path.name, "sha256": sha256(path), "size": path.stat().st_size}
