"""Reading registries: the bundled, pulled, site's and user's; a later one overrides an id of an earlier one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.places import kept, resources_folder
from NativeDLLib.registry.coarse import with_coarse
from NativeDLLib.registry.entry import Model, make_model
from NativeDLLib.registry.parameters import check_defaults
from NativeDLLib.registry.weights import models_folder


def registry_files() -> list[Path]:
    """Return the registries in force, the bundled one first.

    That of the models pulled from a PACS comes next: what the site and the user wrote themselves wins over it. The
    site's are named by ``NATIVEDL_REGISTRY`` (several paths, separated as in ``PATH``); the user's is
    ``~/.nativedl/registry.json`` where it exists.
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
    """Return the models of all registries by id.

    Raises
    ------
    ModelError
        Naming file, entry and field of the first thing that is wrong.
    """
    models: dict[str, Model] = {}
    for file in registry_files():
        models.update({model.id: model for model in load_registry(file)})
    return models


def find_model(models: Mapping[str, Model], model_id: str) -> Model:
    """Return a model by id.

    Raises
    ------
    ModelError
        Where there is none; the message lists those there are.
    """
    if model_id not in models:
        raise ModelError(f"there is no model '{model_id}'; there are {', '.join(sorted(models)) or 'none'}")
    return models[model_id]


def load_registry(path: Path) -> list[Model]:
    """Read and check one registry file.

    Raises
    ------
    ModelError
        Naming file, entry and field of the first thing that is wrong.
    """
    return models_of(read_json(path, ModelError), path)


def models_of(data: Any, path: Path, error: type[NativeDLError] = ModelError) -> list[Model]:
    """Check the content of a registry.

    Parameters
    ----------
    data
        What `read_json` returned.
    path
        Where it came from; what it names is relative to that.
    error
        What to raise; its message names file, entry and field of the first thing that is wrong.
    """
    check_schema(data, "registry.schema.json", path, error, "models")
    models: list[Model] = []
    places = [f"{path}: models[{index}] ({entry['id']})" for index, entry in enumerate(data["models"])]
    for where, entry in zip(places, data["models"], strict=True):
        model = make_model(entry, path)
        if model.id in {other.id for other in models}:
            raise error(f"{where}.id: is there twice")
        try:
            _check(model, where)
        except ModelError as problem:
            raise error(str(problem)) from problem
        models.append(model)
    by_id = {model.id: model for model in models}
    try:
        return [with_coarse(model, by_id, where) for model, where in zip(models, places, strict=True)]
    except ModelError as problem:
        raise error(str(problem)) from problem


def _check(model: Model, where: str) -> None:
    """Check what the schema cannot say."""
    labels = [segment.label for segment in model.segments]
    if len(set(labels)) < len(labels):
        raise ModelError(f"{where}.output.segments: two segments have the same label")
    if len({segment.name for segment in model.segments}) < len(labels):
        raise ModelError(f"{where}.output.segments: two segments have the same name")
    for index, segment in enumerate(model.segments):
        bounds_ml = segment.plausible.volume_ml
        if bounds_ml is not None and bounds_ml[0] >= bounds_ml[1]:
            place = f"{where}.output.segments[{index}].plausible.volume_ml"
            raise ModelError(f"{place}: the lower bound is not below the upper")
    # The steps' room is below this one.
    resolve_name("NativeDLLib.postprocess.steps:check_steps")(model, where)
    if model.input.clip is not None and model.input.clip[0] >= model.input.clip[1]:
        raise ModelError(f"{where}.input.intensity.clip: the lower bound is not below the upper")
    if model.runtime != "nnunetv2" and model.input.orientation is None:
        raise ModelError(f"{where}.input.orientation: stored is for nnunetv2; name the axes, as in LPS")
    _check_architecture(model, where)
    check_defaults(model.parameters, ModelError, where)
    kinds = {parameter.name: parameter.type for parameter in model.parameters}
    if len(kinds) < len(model.parameters):
        raise ModelError(f"{where}.parameters: two parameters have the same name")
    for place, setting, wanted in _settings(model):
        if isinstance(setting, dict):
            if setting["parameter"] not in kinds:
                raise ModelError(f"{where}.{place}: there is no parameter '{setting['parameter']}'")
            if kinds[setting["parameter"]] not in wanted:
                raise ModelError(f"{where}.{place}: parameter '{setting['parameter']}' is not of type {wanted[0]}")
    step = model.sliding_window.step
    bounds: list[tuple[float | None, float | None]]
    if isinstance(step, Mapping):
        bounds = [(p.minimum, p.maximum) for p in model.parameters if p.name == step["parameter"]]
    else:
        bounds = [(step, step)]
    if not all(low is not None and high is not None and 0 < low <= high <= 1 for low, high in bounds):
        raise ModelError(f"{where}.sliding_window.step: must be above 0 and at most 1")
    if model.card is not None and not model.card.is_file():
        raise ModelError(f"{where}.card: {model.card} does not exist")


def _check_architecture(model: Model, where: str) -> None:
    if model.architecture is None:
        return
    # Imported where it is used: the panel lists models before NumPy is installed.
    from NativeDLLib.registry.architecture import check_architecture

    try:
        shapes = check_architecture(model.architecture)
    except ModelError as error:
        raise ModelError(f"{where}.architecture: {error}") from error
    taken, patch = model.architecture["input_shape"], model.input.patch_size
    assert patch is not None
    # A network for slices is given them one by one.
    sizes = patch if len(taken) == 4 else patch[1:]
    if taken[0] != len(model.input.channels):
        raise ModelError(
            f"{where}.architecture.input_shape: is for {taken[0]} channels, input.channels names another number"
        )
    if tuple(taken[1:]) != sizes:
        raise ModelError(f"{where}.architecture.input_shape: {taken[1:]} is not the patch_size {list(sizes)}")
    if shapes[-1][1:] != sizes:
        raise ModelError(
            f"{where}.architecture: gives the shape {list(shapes[-1])}, not logits of the size of its input"
        )


def _settings(model: Model) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    yield "sliding_window.step", model.sliding_window.step, ("number",)
    for name in ("mirror", "skip_air", "around_body"):
        yield f"sliding_window.{name}", getattr(model.sliding_window, name), ("boolean",)
    yield "coarse.use", model.data.get("coarse", {}).get("use"), ("boolean",)
    for index, row in enumerate(model.postprocessing):
        yield f"postprocessing[{index}].enabled", row.enabled, ("boolean",)
        yield f"postprocessing[{index}].min_ml", row.settings.get("min_ml"), ("number", "integer")
