"""The codes of structures by their names in models: from our table, or offered from DICOM's dictionary."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from NativeDLLib.registry.segment_json import CODES, structures

ANATOMICAL = {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"}
_SIDES = ("left", "right")


def known_structure(name: str) -> dict[str, Any] | None:
    """Return category, type, its modifier and colour of a structure that our table has under this name."""
    return _table().get(_plain(name))


def offered_codes(name: str) -> dict[str, Any]:
    """Codes of DICOM's dictionary for a name such as ``kidney_left``, which a person is to judge. ``type`` where there
    is exactly one of that name, ``type_modifier`` where the name has a side.
    """
    words = _plain(name).split()
    sides = [word for word in words if word in _SIDES]
    found = _by_meaning().get(" ".join(word for word in words if word not in _SIDES), set())
    if len(found) != 1 or len(sides) > 1:
        return {}
    codes = {"type": code_of(next(iter(found)))}
    if sides:
        (side,) = _by_meaning()[sides[0]]
        codes["type_modifier"] = code_of(side)
    return codes


def code_of(value: str) -> dict[str, str] | None:
    """Return the SNOMED CT concept of a value as DICOM's dictionary has it, None where it does not."""
    meanings = meanings_of(value)
    return {"value": value, "scheme": "SCT", "meaning": meanings[0]} if meanings else None


def meanings_of(value: str) -> list[str]:
    """Meanings of a SNOMED CT value in DICOM's dictionary; the plainest first."""
    return sorted(_by_value().get(value, ()), key=lambda meaning: (len(meaning), meaning))


def code_doubts(segment: dict[str, Any]) -> Iterator[str]:
    """Say of which codes of a segment DICOM's dictionary has another meaning than the entry."""
    codes = {key: segment[key] for key in CODES if segment.get(key)}
    for key, code in codes.items():
        meanings = meanings_of(code["value"]) if code["scheme"] == "SCT" and code not in _ours() else []
        if meanings and _core(code["meaning"]) not in map(_core, meanings):
            yield (
                f"{segment['name']}: {key} {code['value']} is '{meanings[0]}' in DICOM's dictionary, "
                f"'{code['meaning']}' here; make sure that it is the same"
            )


@cache
def _table() -> dict[str, dict[str, Any]]:
    # What is plausible needs not be written into each entry: it follows from the codes.
    return {
        name: {key: value for key, value in row.items() if key not in ("names", "plausible")}
        for row in structures()
        for name in row["names"]
    }


@cache
def _ours() -> list[dict[str, str]]:
    """Return the codes of our table, which are in order although DICOM's dictionary has other words for some."""
    return [ANATOMICAL, *(code for row in _table().values() for key, code in row.items() if key != "color")]


@cache
def _by_value() -> dict[str, set[str]]:
    # Thousands of concepts, which only those who add a model wait for.
    from pydicom.sr.codedict import codes

    result: dict[str, set[str]] = {}
    for concept in codes.SCT.concepts.values():
        result.setdefault(concept.value, set()).add(concept.meaning)
    return result


@cache
def _by_meaning() -> dict[str, set[str]]:
    result: dict[str, set[str]] = {}
    for value, meanings in _by_value().items():
        for meaning in meanings:
            result.setdefault(_core(meaning), set()).add(value)
    return result


def _core(meaning: str) -> str:
    """Return a meaning without what only says that it is a part of the body."""
    return re.sub(r"( structure)?( \(body structure\))?$", "", meaning.lower().strip())


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))
