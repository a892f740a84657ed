"""The coarse model of an entry: another one of the same registry, which says where to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Coarse, Model

_MARGIN_MM = 20.0


def with_coarse(model: Model, others: Mapping[str, Model], where: str) -> Model:
    """Return a model with its coarse one, if its entry names one.

    Parameters
    ----------
    model
        As `make_model` returns it.
    others
        All models of its registry by id.
    where
        Names the entry in messages.

    Raises
    ------
    ModelError
        Where there is no such model, or it does not go with this one.
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
