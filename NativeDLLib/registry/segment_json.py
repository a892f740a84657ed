"""Segments as JSON values, so that a result says by itself what its segments are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from NativeDLLib.registry.entry import Code, Segment
from NativeDLLib.registry.make_model import make_plausible

_CODES = ("category", "type", "type_modifier", "region", "region_modifier")


def segment_json(segment: Segment) -> dict[str, Any]:
    """Return number, name, colour and codes of a segment."""
    codes = {key: getattr(segment, key) for key in _CODES}
    return {
        "number": segment.number,
        "name": segment.name,
        "color": list(segment.color),
        **{key: None if code is None else asdict(code) for key, code in codes.items()},
    }


def segment_of(row: Mapping[str, Any]) -> Segment:
    """Segment of the values that `segment_json` made; KeyError, TypeError or ValueError where they are others."""
    red, green, blue = (int(value) for value in row["color"])
    codes = {key: None if row[key] is None else Code(**{k: str(v) for k, v in row[key].items()}) for key in _CODES}
    if int(row["number"]) < 1:
        raise ValueError("a segment has no number")
    if codes["category"] is None or codes["type"] is None:
        raise ValueError("a segment has neither category nor type")
    return Segment(
        number=int(row["number"]),
        label=int(row["number"]),
        name=str(row["name"]),
        color=(red, green, blue),
        category=codes["category"],
        type=codes["type"],
        type_modifier=codes["type_modifier"],
        region=codes["region"],
        region_modifier=codes["region_modifier"],
        plausible=make_plausible(row.get("plausible", {})),
    )
