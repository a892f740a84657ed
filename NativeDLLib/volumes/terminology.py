"""What a segment is, as Slicer writes it in its tag ``TerminologyEntry``.

An entry is seven parts between tildes: the context of category and type, category, type, type modifier, the context of
regions, region, region modifier; a code is scheme, value and meaning between carets.
"""

from __future__ import annotations

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
    """Return what a segment of the registry is."""
    return Meaning(segment.category, segment.type, segment.type_modifier, segment.region, segment.region_modifier)


def terminology_entry(meaning: Meaning) -> str:
    """Return the tag for a meaning."""
    types = [_text(code) for code in (meaning.category, meaning.type, meaning.type_modifier)]
    regions = [_text(code) for code in (meaning.region, meaning.region_modifier)]
    return "~".join([TYPES_CONTEXT, *types, REGIONS_CONTEXT, *regions])


def _text(code: Code | None) -> str:
    if code is None:
        return "^^"
    # What separates the parts of an entry, of the tags and of the file's lines cannot stand within one.
    return "^".join(re.sub(r"[~^|\s]+", " ", part) for part in (code.scheme, code.value, code.meaning))
