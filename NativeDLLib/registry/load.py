"""Reading registries, the JSON of whose entries becomes models: bundled, pulled, the site's and the user's."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.places import kept, resources_folder
from NativeDLLib.registry import entry
from NativeDLLib.registry.check_entry import check_entry
from NativeDLLib.registry.entry import Model, PostprocessingStep
from NativeDLLib.registry.segment_json import segment_of
from NativeDLLib.registry.weights import models_folder

_MARGIN_MM = 20.0
_TEXTS = ("id", "version", "title", "description", "license", "citation", "intended_use", "runtime")
Kind = TypeVar("Kind")


def make_model(data: Mapping[str, Any], registry: Path) -> Model:
    """Make a model from an entry that has passed its checks."""
    given, output = data["input"], data["output"]
    weights = {name: value for name, value in data["weights"].items() if name not in ("file", "folder")}
    place = data["weights"].get("file") or data["weights"]["folder"]
    texts: dict[str, Any] = {name: data.get(name, "") for name in _TEXTS}
    return Model(
        **texts,
        input=entry.InputContract(
            modality=given["modality"],
            body_parts=tuple(given.get("body_parts", ())),
            keywords=tuple(given.get("keywords", ())),
            channels=tuple(_channel(row, given) for row in given["channels"]),
            orientation=None if given.get("orientation") == "stored" else given.get("orientation"),
            spacing=_triple(given.get("spacing"), float),
            patch_size=_triple(given.get("patch_size"), int),
            padding=given.get("padding", "constant"),
            axes=given.get("axes"),
        ),
        segments=tuple(segment_of(row, number) for number, row in enumerate(output["segments"], 1)),
        output_channels=output.get("channels"),
        architecture=data.get("architecture"),
        parameters=tuple(_made(entry.Parameter, row) for row in data.get("parameters", ())),
        sliding_window=_made(entry.SlidingWindow, data.get("sliding_window", {})),
        postprocessing=tuple(_step(row) for row in data.get("postprocessing", ())),
        evaluation=tuple(data.get("evaluation", ())),
        weights=_made(entry.WeightsEntry, weights, place=place, is_folder="folder" in data["weights"]),
        card=registry.parent / data["card"] if "card" in data else None,
        registry=registry,
        data=data,
        activation=output.get("activation", ""),
        threshold=output.get("threshold", 0.0),
    )


def with_coarse(model: Model, others: Mapping[str, Model], where: str) -> Model:
    """Return a model with its coarse one, if its entry names one. `others` are all models of its registry by id,
    `where` names the entry in messages. ModelError where there is no such model, or it does not go with this one.
    """
    given = model.data.get("coarse")
    if given is None:
        return model
    coarse, place = others.get(given["model"]), f"{where}.coarse"
    if coarse is None:
        raise ModelError(f"{place}.model: there is no model '{given['model']}' in this registry")
    if "coarse" in coarse.data:
        raise ModelError(f"{place}.model: '{coarse.id}' has a coarse model itself")
    if coarse.input.modality != model.input.modality:
        kinds = f"is for {coarse.input.modality}, this model for {model.input.modality}"
        raise ModelError(f"{place}.model: '{coarse.id}' {kinds}")
    unknown = sorted(set(given.get("segments", ())) - {segment.name for segment in coarse.segments})
    if unknown:
        raise ModelError(f"{place}.segments: '{coarse.id}' has no segment '{unknown[0]}'")
    # nnU-Net's plans say it for its networks: those for CT are normalised by constants, others by the image.
    by_image = any(channel.normalization == "image" for channel in model.input.channels)
    if model.runtime == "nnunetv2":
        by_image = model.input.modality != "CT"
    if by_image:
        raise ModelError(f"{place}: this model normalises by the whole image, which a part of it would change")
    segments = tuple(s for s in coarse.segments if s.name in given.get("segments", (s.name,)))
    margin_mm = float(given.get("margin_mm", _MARGIN_MM))
    return replace(model, coarse=entry.Coarse(coarse, segments, margin_mm, given.get("use", True)))


def _channel(row: Mapping[str, Any], given: Mapping[str, Any]) -> entry.Channel:
    """Make a channel of an input contract, whose intensities are its own or those of the input."""
    intensity = row.get("intensity") or given.get("intensity", {"normalization": "none"})
    return _made(entry.Channel, {"clip": None} | intensity, name=row["name"], series=row.get("series", ""))


def _made(kind: type[Kind], row: Mapping[str, Any], **others: Any) -> Kind:
    """Make an object of values by the names of its fields, with lists as tuples."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return kind(**values, **others)


def _step(row: Mapping[str, Any]) -> PostprocessingStep:
    settings = {name: value for name, value in row.items() if name not in ("step", "enabled")}
    return PostprocessingStep(row["step"], settings, row.get("enabled", True))


def _triple(values: Sequence[Any] | None, kind: type) -> Any:
    return None if values is None else tuple(kind(value) for value in values)


def registry_files() -> list[Path]:
    """Registries in force, of which a later one overrides an id of an earlier one: the bundled one, that of the models
    pulled from a PACS, the site's (``NATIVEDL_REGISTRY``, several paths as in ``PATH``), the user's ``registry.json``.
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
    return {model.id: model for file in registry_files() for model in load_registry(file)}


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
    places = [f"{path}: models[{index}] ({row['id']})" for index, row in enumerate(data["models"])]
    models: dict[str, Model] = {}
    try:
        for where, row in zip(places, data["models"], strict=True):
            model = make_model(row, path)
            if model.id in models:
                raise ModelError(f"{where}.id: is there twice")
            check_entry(model, where)
            models[model.id] = model
        return [with_coarse(model, models, where) for model, where in zip(models.values(), places, strict=True)]
    except ModelError as problem:
        raise error(str(problem)) from problem
