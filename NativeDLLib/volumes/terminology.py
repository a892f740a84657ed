"""Codes of a segment in Slicer's tag ``TerminologyEntry``.

An entry is seven parts between tildes: the context of category and type, category, type, type modifier, the context of
regions, region, region modifier; a code is scheme, value and meaning between carets.
"""

import re
from dataclasses import dataclass

from NativeDLLib.registry.entry import Code, Segment

TYPES_CONTEXT = "Segmentation category and type - DICOM master list"
REGIONS_CONTEXT = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Meaning:
    """Category, type and region of a segment, each with what modifies it."""

    category: Code
    type: Code
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None


def meaning_of(segment: Segment) -> Meaning:
    """Codes of a registry segment."""
    return Meaning(segment.category, segment.type, segment.type_modifier, segment.region, segment.region_modifier)


def terminology_entry(meaning: Meaning) -> str:
    """Return the tag for a meaning."""
    types = [_text(code) for code in (meaning.category, meaning.type, meaning.type_modifier)]
    regions = [_text(code) for code in (meaning.region, meaning.region_modifier)]
    return "~".join([TYPES_CONTEXT, *types, REGIONS_CONTEXT, *regions])


def parse_entry(entry: str) -> Meaning | None:
    """Return the meaning that a tag gives, or None where it gives none that DICOM can hold."""
    parts = entry.split("~")
    if len(parts) < 3:
        return None
    _, category, kind, modifier, _, region, region_modifier = [*parts, *[""] * 4][:7]
    meaning = [_code(text) for text in (category, kind, modifier, region, region_modifier)]
    if meaning[0] is None or meaning[1] is None:
        return None
    return Meaning(meaning[0], meaning[1], *meaning[2:])


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
