"""Codes of a segment in Slicer's tag ``TerminologyEntry``.

An entry is seven parts between tildes: the context of category and type, category, type, type modifier, the context of
regions, region, region modifier; a code is scheme, value and meaning between carets.
"""

import re
from typing import Any

from NativeDLLib.registry.entry import Code, Segment
from NativeDLLib.registry.segment_json import CODES

TYPES_CONTEXT = "Segmentation category and type - DICOM master list"
REGIONS_CONTEXT = "Anatomic codes - DICOM master list"


def terminology_entry(segment: Segment) -> str:
    """Return the tag for the codes of a segment."""
    category, kind, modifier, region, region_modifier = (_text(getattr(segment, name)) for name in CODES)
    return "~".join([TYPES_CONTEXT, category, kind, modifier, REGIONS_CONTEXT, region, region_modifier])


def parse_entry(entry: str) -> dict[str, Any] | None:
    """Return the codes of a tag by the fields of a segment, or None where it gives none that DICOM can hold."""
    parts = entry.split("~")
    if len(parts) < 3:
        return None
    _, category, kind, modifier, _, region, region_modifier = [*parts, *[""] * 4][:7]
    codes = dict(zip(CODES, map(_code, (category, kind, modifier, region, region_modifier)), strict=True))
    return codes if codes["category"] and codes["type"] else None


def _code(text: str) -> Code | None:
    parts = [part.strip() for part in text.split("^")]
    if len(parts) != 3 or not all(parts):
        return None
    scheme, value, meaning = parts
    # Short and Long String (PS3.5 6.2), in which neither a backslash nor a control character can stand.
    fits = len(scheme) <= 16 and len(value) <= 64 and len(meaning) <= 64
    return Code(value, scheme, meaning) if fits and text.isprintable() and "\\" not in text else None


def _text(code: Code | None) -> str:
    if code is None:
        return "^^"
    # What separates the parts of an entry, of the tags and of the file's lines cannot stand within one.
    return "^".join(re.sub(r"[~^|\s]+", " ", part) for part in (code.scheme, code.value, code.meaning))
