"""Models from the JSON of registry entries that have passed the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import (
    Coarse,
    Code,
    InputContract,
    Model,
    Parameter,
    Plausible,
    PostprocessingStep,
    Segment,
    SlidingWindow,
    WeightsEntry,
)

_MARGIN_MM = 20.0


def make_model(data: Mapping[str, Any], registry: Path) -> Model:
    """Make a model from an entry that has passed its checks."""
    given = data["input"]
    intensity = given.get("intensity", {"normalization": "none"})
    return Model(
        id=data["id"],
        version=data["version"],
        title=data["title"],
        description=data["description"],
        license=data["license"],
        citation=data.get("citation", ""),
        intended_use=data["intended_use"],
        runtime=data["runtime"],
        input=InputContract(
            modality=given["modality"],
            body_parts=tuple(given.get("body_parts", ())),
            keywords=tuple(given.get("keywords", ())),
            channels=tuple(channel["name"] for channel in given["channels"]),
            orientation=None if given.get("orientation") == "stored" else given.get("orientation"),
            spacing=_triple(given.get("spacing"), float),
            clip=tuple(intensity["clip"]) if "clip" in intensity else None,
            normalization=intensity["normalization"],
            patch_size=_triple(given.get("patch_size"), int),
            padding=given.get("padding", "constant"),
        ),
        segments=tuple(_segment(row, i + 1) for i, row in enumerate(data["output"]["segments"])),
        output_channels=data["output"].get("channels"),
        architecture=data.get("architecture"),
        parameters=tuple(_parameter(row) for row in data.get("parameters", ())),
        sliding_window=_sliding_window(data.get("sliding_window", {})),
        postprocessing=tuple(_step(row) for row in data.get("postprocessing", ())),
        evaluation=tuple(data.get("evaluation", ())),
        weights=_weights(data["weights"]),
        card=registry.parent / data["card"] if "card" in data else None,
        registry=registry,
        data=data,
    )


def with_coarse(model: Model, others: Mapping[str, Model], where: str) -> Model:
    """Return a model with its coarse one, if its entry names one.

    `others` are all models of its registry by id, `where` names the entry in messages. ModelError where there is no
    such model, or it does not go with this one.
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
    by_image = model.input.modality != "CT" if model.runtime == "nnunetv2" else model.input.normalization == "image"
    if by_image:
        raise ModelError(f"{place}: this model normalises by the whole image, which a part of it would change")
    segments = tuple(s for s in coarse.segments if s.name in given.get("segments", (s.name,)))
    margin_mm = float(given.get("margin_mm", _MARGIN_MM))
    return replace(model, coarse=Coarse(coarse, segments, margin_mm, given.get("use", True)))


def _weights(row: Mapping[str, Any]) -> WeightsEntry:
    others: dict[str, Any] = {name: value for name, value in row.items() if name not in ("file", "folder")}
    if "folds" in row:
        others["folds"] = tuple(row["folds"])
    return WeightsEntry(str(row.get("file") or row["folder"]), "folder" in row, **others)


def _sliding_window(row: Mapping[str, Any]) -> SlidingWindow:
    settings: dict[str, Any] = {**row}
    if "mirror_axes" in row:
        settings["mirror_axes"] = tuple(row["mirror_axes"])
    return SlidingWindow(**settings)


def _step(row: Mapping[str, Any]) -> PostprocessingStep:
    settings = {name: value for name, value in row.items() if name not in ("step", "enabled")}
    return PostprocessingStep(row["step"], settings, row.get("enabled", True))


def _triple(values: Sequence[Any] | None, kind: type) -> Any:
    return None if values is None else tuple(kind(value) for value in values)


def _segment(row: Mapping[str, Any], number: int) -> Segment:
    def code(key: str) -> Code | None:
        return Code(**row[key]) if key in row else None

    return Segment(
        number=number,
        label=row["label"],
        name=row["name"],
        color=(row["color"][0], row["color"][1], row["color"][2]),
        category=Code(**row["category"]),
        type=Code(**row["type"]),
        type_modifier=code("type_modifier"),
        region=code("region"),
        region_modifier=code("region_modifier"),
        plausible=make_plausible(row.get("plausible", {})),
    )


def make_plausible(row: Mapping[str, Any]) -> Plausible:
    """Make `Plausible` from the values of an entry or of a report."""
    bounds = row.get("volume_ml")
    volume_ml = None if bounds is None else (float(bounds[0]), float(bounds[1]))
    return Plausible(volume_ml, str(row.get("side", "")), tuple(map(str, row.get("cut_at", ()))))


def _parameter(row: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=row["name"],
        type=row["type"],
        default=row["default"],
        label=row["label"],
        help=row["help"],
        minimum=row.get("minimum"),
        maximum=row.get("maximum"),
        choices=tuple(row.get("choices", ())),
        unit=row.get("unit", ""),
    )
