"""Segments as JSON values, so that a result says what its segments are, and the table of known structures."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.places import resources_folder
from NativeDLLib.registry.entry import Code, Plausible, Segment

CODES = ("category", "type", "type_modifier", "region", "region_modifier")


def segment_json(segment: Segment) -> dict[str, Any]:
    """Return number, name, colour and codes of a segment."""
    codes = {key: None if (code := getattr(segment, key)) is None else asdict(code) for key in CODES}
    return {"number": segment.number, "name": segment.name, "color": list(segment.color), **codes}


def segment_of(row: Mapping[str, Any], number: int | None = None) -> Segment:
    """Segment of `segment_json` or, with its number, of a registry entry; KeyError, TypeError or ValueError else."""
    red, green, blue = (int(value) for value in row["color"])
    codes = {key: Code(**{k: str(v) for k, v in row[key].items()}) for key in CODES if row.get(key) is not None}
    own = int(row["number"]) if number is None else number
    if own < 1:
        raise ValueError("a segment has no number")
    label = own if number is None else int(row["label"])
    plausible = _make_plausible(_known_plausible().get(_codes_of(row), {}) | row.get("plausible", {}))
    return Segment(own, label, str(row["name"]), (red, green, blue), **codes, plausible=plausible)


def _make_plausible(row: Mapping[str, Any]) -> Plausible:
    bounds = row.get("volume_ml")
    volume_ml = None if bounds is None else (float(bounds[0]), float(bounds[1]))
    extent_mm, level = row.get("extent_mm"), row.get("level")
    return Plausible(
        volume_ml,
        str(row.get("side", "")),
        tuple(map(str, row.get("cut_at", ()))),
        None if extent_mm is None else float(extent_mm),
        None if level is None else int(level),
    )


@cache
def structures() -> list[dict[str, Any]]:
    """Structures of the body in ``Resources/structures.json``, with their codes and plausible values."""
    rows: list[dict[str, Any]] = read_json(resources_folder() / "structures.json", ModelError)["structures"]
    return rows


@cache
def _known_plausible() -> dict[tuple[Any, ...], dict[str, Any]]:
    return {_codes_of(row): row["plausible"] for row in structures() if "plausible" in row}


def _codes_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the codes by which a structure is known, which may be of a damaged row."""
    type_, modifier = row["type"], row.get("type_modifier")
    return type_.get("scheme"), type_.get("value"), modifier and modifier.get("value")
