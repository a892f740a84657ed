"""Decisions about each segment, and its origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import AlgorithmType
from NativeDLLib.registry.entry import Code, Segment
from NativeDLLib.registry.segment_json import CODES
from NativeDLLib.results.saved import SavedResult
from NativeDLLib.review.masks import Mask, resample_to, voxels_outside
from NativeDLLib.source import Grid
from NativeDLLib.volumes.seg_nrrd import parse_entry
from NativeDLLib.volumes.seg_nrrd_reader import StoredSegment, StoredSegmentation

Decision = Literal["accepted", "rejected", "pending", "empty", "removed"]
_NUMBER, _REVIEW, _ENTRY = "NativeDL.SegmentNumber", "NativeDL.Review", "TerminologyEntry"
_DECISIONS: dict[str, Decision] = {"accepted": "accepted", "rejected": "rejected", "pending": "pending"}
_LONGEST_LABEL = 64
_NOWHERE = Mask(np.zeros((0, 0, 0), bool), (0, 0, 0))


@dataclass(frozen=True)
class ReviewedSegment:
    """One segment as it came back."""

    segment: Segment  # name and codes. Its number is that in the automatic result, or 0 where the physician drew it
    decision: Decision  # ``empty`` without any voxel, ``removed`` where it is no longer in the file
    mask: Mask  # on the grid of the source
    algorithm_type: AlgorithmType
    changed: int  # number of voxels that differ from the automatic result
    outside: int = 0  # number of voxels outside the source; they are left out

    @property
    def is_stored(self) -> bool:
        """Whether it is part of the SEG."""
        return self.decision in ("accepted", "pending")


def compare_segments(
    edited: StoredSegmentation, automatic: SavedResult, labels: Array, grid: Grid, progress: Progress
) -> list[ReviewedSegment]:
    """Segments as they came back from Slicer, compared with the automatic ones and their label map (z, y, x).
    InputError where a segment is not of this result, has an unknown decision, or has no name or codes.
    """
    reviewed = [_identify(edited, stored, automatic) for stored in edited.segments]
    for number, layer in enumerate(edited.layers):
        here = [index for index, stored in enumerate(edited.segments) if stored.layer == number]
        resampled = resample_to(grid, layer, sorted({edited.segments[index].value for index in here}), progress)
        for index in here:
            progress.check()
            value = edited.segments[index].value
            outside = voxels_outside(layer, value, grid)
            reviewed[index] = _compared(reviewed[index], resampled.mask(value), outside, labels)
    left = {segment.segment.number for segment in reviewed}
    gone = [
        ReviewedSegment(segment, "removed", _NOWHERE, "AUTOMATIC", _changed(_NOWHERE, labels, number))
        for number, (segment, _) in automatic.segments.items()
        if number not in left
    ]
    return [*reviewed, *gone]


def decided(reviewed: Sequence[ReviewedSegment], decisions: Mapping[str, Decision]) -> list[ReviewedSegment]:
    """Segments with decisions by name, except those without voxels; UsageError where a name is not that of one."""
    names = [segment.segment.name for segment in reviewed]
    for name in decisions:
        if names.count(name) != 1:
            raise UsageError(f"{names.count(name)} segments are called '{name}'; there are {', '.join(names)}")
    return [
        replace(segment, decision=decisions.get(name, segment.decision)) if segment.decision in _DECISIONS else segment
        for name, segment in zip(names, reviewed, strict=True)
    ]


def _identify(edited: StoredSegmentation, stored: StoredSegment, automatic: SavedResult) -> ReviewedSegment:
    """Segment and decision in the file, before its voxels are looked at."""
    where = f"{edited.path}: segment '{stored.name[:_LONGEST_LABEL]}'"
    codes = parse_entry(stored.tags.get(_ENTRY, ""))
    number = stored.tags.get(_NUMBER)
    told = stored.tags.get(_REVIEW) or ("pending" if number else "accepted")
    decision = _DECISIONS.get(told)
    if decision is None:
        raise InputError(f"{where}: {_REVIEW} is '{told[:20]}', not {', '.join(_DECISIONS)}")
    if not number:
        if codes is None:
            raise InputError(f"{where}: does not say what it is; choose a terminology in Slicer (its colour)")
        drawn = Segment(0, 0, _label(stored.name), stored.color, **codes)
        return ReviewedSegment(drawn, decision, _NOWHERE, "MANUAL", 0)
    original = next((segment for n, (segment, _) in automatic.segments.items() if str(n) == number), None)
    if original is None:
        raise InputError(f"{where}: is segment {number[:20]} of a result, which is not in {automatic.folder}")
    shown = replace(original, name=_label(stored.name), color=stored.color)
    # Some characters of a meaning cannot be in the file: where nobody chose another code, the registry's words stay.
    coded = shown if codes is None else replace(shown, **codes)
    if _codes(coded) == _codes(shown):
        return ReviewedSegment(shown, decision, _NOWHERE, "AUTOMATIC", 0)
    return ReviewedSegment(coded, decision, _NOWHERE, "SEMIAUTOMATIC", 0)


def _compared(segment: ReviewedSegment, mask: Mask, outside: int, labels: Array) -> ReviewedSegment:
    """Return a segment with its voxels, and so with how it came about."""
    changed = _changed(mask, labels, segment.segment.number)
    edited = changed and segment.algorithm_type == "AUTOMATIC"
    kind = "SEMIAUTOMATIC" if edited else segment.algorithm_type
    decision = segment.decision if mask.voxels else "empty"
    return replace(segment, decision=decision, mask=mask, algorithm_type=kind, changed=changed, outside=outside)


def _changed(mask: Mask, labels: Array, number: int) -> int:
    """Return how many voxels are in either the mask or the automatic segment of that number, but not in both."""
    if number == 0:
        return mask.voxels
    before = labels == number
    both = np.count_nonzero(before[mask.slices] & mask.values)
    return int(np.count_nonzero(before)) + mask.voxels - 2 * int(both)


def _codes(segment: Segment) -> list[tuple[str, str] | None]:
    codes: list[Code | None] = [getattr(segment, name) for name in CODES]
    return [None if code is None else (code.scheme, code.value) for code in codes]


def _label(name: str) -> str:
    """Return a name as a Long String (PS3.5 6.2)."""
    printable = "".join(character if character.isprintable() else " " for character in name.replace("\\", "/"))
    return " ".join(printable.split())[:_LONGEST_LABEL].strip() or "Segment"
