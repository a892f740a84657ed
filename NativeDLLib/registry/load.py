"""Reading registries: the bundled, pulled, site's and user's; a later one overrides an id of an earlier one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.places import kept, resources_folder
from NativeDLLib.registry.check_entry import check_entry
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.make_model import make_model, with_coarse
from NativeDLLib.registry.weights import models_folder


def registry_files() -> list[Path]:
    """Registries in force, the bundled one first. The models pulled from a PACS come next, then the site's
    (``NATIVEDL_REGISTRY``, several paths as in ``PATH``), then the user's ``~/.nativedl/registry.json``.
    """
    files = [resources_folder() / "registry.json"]
    files += [pulled_registry()] if pulled_registry().is_file() else []
    files += [Path(name).expanduser() for name in os.environ.get("NATIVEDL_REGISTRY", "").split(os.pathsep) if name]
    user = kept("registry.json")
    return [*files, user] if user.is_file() else files


def pulled_registry() -> Path:
    """Return the registry of the models pulled from a PACS, beside their weights."""
    # No model's id begins with an underscore, so that none has this folder for its downloads.
    return models_folder() / "_pulled" / "registry.json"


def load_models() -> dict[str, Model]:
    """Models of all registries by id; ModelError names file, entry and field of the first thing that is wrong."""
    models: dict[str, Model] = {}
    for file in registry_files():
        models.update({model.id: model for model in load_registry(file)})
    return models


def find_model(models: Mapping[str, Model], model_id: str) -> Model:
    """Model by id; ModelError lists the ids where there is none."""
    if model_id not in models:
        raise ModelError(f"there is no model '{model_id}'; there are {', '.join(sorted(models)) or 'none'}")
    return models[model_id]


def load_registry(path: Path) -> list[Model]:
    """Models of one registry file, checked."""
    return models_of(read_json(path, ModelError), path)


def models_of(data: Any, path: Path, error: type[NativeDLError] = ModelError) -> list[Model]:
    """Models of a registry's content, with paths relative to `path`; `error` names the first thing that is wrong."""
    check_schema(data, "registry.schema.json", path, error, "models")
    places = [f"{path}: models[{index}] ({entry['id']})" for index, entry in enumerate(data["models"])]
    models: dict[str, Model] = {}
    try:
        for where, entry in zip(places, data["models"], strict=True):
            model = make_model(entry, path)
            if model.id in models:
                raise ModelError(f"{where}.id: is there twice")
            check_entry(model, where)
            models[model.id] = model
        return [with_coarse(model, models, where) for model, where in zip(models.values(), places, strict=True)]
    except ModelError as problem:
        raise error(str(problem)) from problem
