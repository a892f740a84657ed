"""Choosing a model for a series, with the reasons for it and against each other one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import find_model
from NativeDLLib.registry.weights import find_weights, to_be_fetched

# Values of Body Part Examined that say nothing about which part.
_UNSPECIFIC = {"", "BODY", "PARTIALBODY", "WHOLEBODY", "UNKNOWN", "OTHER", "NONE"}
_BODY_PART, _SERIES_WORD, _STUDY_WORD = 4, 2, 1


class Described(Protocol):
    """Anything with DICOM attributes, such as a series."""

    def text(self, keyword: str) -> str:
        """Return an attribute as text, empty where it is absent."""


@dataclass(frozen=True)
class Candidate:
    """A model, whether it fits a series, how well, and why."""

    model: Model
    fits: bool
    score: int
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the judgement as JSON values."""
        return {"id": self.model.id, "fits": self.fits, "score": self.score, "reasons": list(self.reasons)}


def rank(models: Iterable[Model], series: Described, seen: Sequence[str] = ()) -> list[Candidate]:
    """Verdicts on every model for a series, the best first, with reasons. Modality, Body Part Examined, Series, Study
    and Protocol descriptions count. A model whose weights are yet to be fetched never fits; of equals, one that the
    user fetched comes first. Body parts that the images seem to show, `seen`, make no model fit: such models come
    before the others that do not.
    """
    return sorted((_fit(model, series, seen) for model in models), key=_order)


def is_unknown(models: Iterable[Model], series: Described) -> bool:
    """Whether no model fits a series that does not tell its body part."""
    return series.text("BodyPartExamined").upper() in _UNSPECIFIC and not any(c.fits for c in rank(models, series))


def select(
    models: Mapping[str, Model], series: Described, wanted: str = "auto", seen: Sequence[str] = ()
) -> tuple[Model, list[str], list[str]]:
    """Model for a series, with the reasons and warnings. `wanted` is an id, which wins whether the model fits or not,
    or ``auto``; `seen` is that of `rank`. The warnings say why an explicit choice does not fit, or which other models
    would fit as well. ModelError where there is no such model, its weights are yet to be fetched, or none fits.
    """
    if wanted != "auto":
        model = find_model(models, wanted)
        if to_be_fetched(model):
            find_weights(model)
        judged = _fit(model, series, ())
        warnings = [] if judged.fits else [f"model {model.id} was chosen but may not fit: {'; '.join(judged.reasons)}"]
        return model, ["chosen by the user"], warnings
    ranking = rank(models.values(), series, seen)
    fitting = [candidate for candidate in ranking if candidate.fits]
    if not fitting:
        reasons = " | ".join(f"{c.model.id}: {'; '.join(c.reasons)}" for c in ranking)
        offered = [c.model.id for c in ranking if c.score and not to_be_fetched(c.model)]
        if seen and offered:
            looks = f"a coarse look at the images, which is an estimate, shows {_named(seen)}"
            told = f"no model is chosen: the body part is not told; {looks}, for which there are {', '.join(offered)}"
            raise ModelError(told, hint="run one with --model")
        raise ModelError(f"no model fits this series. {reasons}", hint="run one all the same with --model")
    best = fitting[0]
    equal = [c.model.id for c in fitting[1:] if c.score == best.score]
    warnings = [f"{best.model.id} was chosen; {', '.join(equal)} would fit as well"] if equal else []
    return best.model, list(best.reasons), warnings


def _order(candidate: Candidate) -> tuple[bool, bool, int, bool, int]:
    model = candidate.model
    rest = (-candidate.score, not model.weights.url, len(model.input.body_parts))
    return not candidate.fits, to_be_fetched(model), *rest


def _fit(model: Model, series: Described, seen: Sequence[str]) -> Candidate:
    judged = _compare(model, series, seen)
    lacking = next(filter(to_be_fetched, model.needed), None)
    if judged.fits and lacking is not None:
        whose = "its weights" if lacking is model else "the weights of its coarse model"
        reason = f"{whose} are to be fetched first"
        return replace(judged, fits=False, reasons=(*judged.reasons, reason))
    return judged


def _compare(model: Model, series: Described, seen: Sequence[str]) -> Candidate:
    wants = model.input
    modality = series.text("Modality")
    if modality != wants.modality:
        return Candidate(model, False, 0, (f"is for {wants.modality}, the series is {modality or 'without modality'}",))
    if wants.needs:
        return Candidate(model, False, 0, (wants.needs,))
    body_part = series.text("BodyPartExamined").upper()
    reasons, score = [f"{modality} as wanted"], 0
    if body_part in wants.body_parts:
        score += _BODY_PART
        reasons.append(f"BodyPartExamined is {body_part}")
    elif "body_parts" not in model.data["input"]:
        reason = "its entry does not name the body parts that it is for, so it is never chosen by itself"
        return Candidate(model, False, 0, (*reasons, reason))
    elif not wants.body_parts:
        reasons.append("takes any body part")
    of_series = _words(series.text("SeriesDescription"), series.text("ProtocolName"))
    of_study = _words(series.text("StudyDescription"))
    for weight, where, found in ((_SERIES_WORD, "series", of_series), (_STUDY_WORD, "study", of_study)):
        hits = [keyword for keyword in wants.keywords if f" {keyword} " in found]
        if hits:
            score += weight
            reasons.append(f"the {where} description says '{hits[0]}'")
    if score or not wants.body_parts:
        return Candidate(model, True, score, tuple(reasons))
    wanted = ", ".join(wants.body_parts[:6]) + (" ..." if len(wants.body_parts) > 6 else "")
    if body_part in _UNSPECIFIC:
        reason = f"body part is unknown (BodyPartExamined '{body_part}', descriptions name none of {wanted})"
        if set(seen) & set(wants.body_parts):
            reason += f"; a coarse look, which is an estimate, shows {_named(seen)}"
            return Candidate(model, False, 1, (reason,))
    else:
        reason = f"is for {wanted}; BodyPartExamined is {body_part}"
    return Candidate(model, False, 0, (reason,))


def _named(parts: Sequence[str]) -> str:
    return " and ".join(part.lower() for part in parts)


def _words(*texts: str) -> str:
    return f" {' '.join(re.split(r'[^a-z0-9]+', ' '.join(texts).lower()))} "
