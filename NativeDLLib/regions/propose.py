"""From a segmentation on the slices of a series to the regions that are proposed to a physician."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.dicom import Series
from NativeDLLib.dicom.geometry import Array
from NativeDLLib.dicom.plane import Plane
from NativeDLLib.errors import UsageError
from NativeDLLib.events import Cancel
from NativeDLLib.regions.outlines import area, outlines, safe_tolerance
from NativeDLLib.regions.region import DECIMALS, Region
from NativeDLLib.registry.entry import Segment

LARGEST_TOLERANCE_MM = 10.0


def propose(
    series: Series,
    labels: npt.NDArray[Any],
    segments: Sequence[Segment],
    *,
    slices: Iterable[int] | None = None,
    tolerance: float | None = None,
    cancel: Cancel | None = None,
) -> list[Region]:
    """Return the regions of a segmentation, in the order of segments and slices.

    Parameters
    ----------
    series
        The source.
    labels
        Array (z, y, x) of Segment Numbers, 0 for none; or array (z, y, x, segment) of booleans.
    segments
        The segments, in the order of the last axis.
    slices
        Indices of the slices; by default all.
    tolerance
        How far in mm a line may be off the mask's (see `outlines`); by default so little that the mask is the same.
    cancel
        Looked at between slices.
    """
    planes = [Plane.of(series, index) for index in (range(len(series.slices)) if slices is None else slices)]
    regions = []
    for column, segment in enumerate(segments):
        for plane in planes:
            if cancel is not None:
                cancel.check()
            whole = labels[plane.index]
            mask = whole[..., column] if labels.ndim == 4 else whole == segment.number
            if mask.any():
                regions += _regions(plane, np.asarray(mask, bool), segment, tolerance)
    return regions


def find_slice(series: Series, text: str) -> int:
    """Return the index of a slice.

    Parameters
    ----------
    text
        The SOP Instance UID of a single-frame image, or the index from 0 along the normal.

    Raises
    ------
    UsageError
        Where there is no such slice, or the instance has several.
    """
    count = len(series.slices)
    if text.isdecimal() and len(text) < 10:
        if int(text) < count:
            return int(text)
        raise UsageError(f"--slice: the series has {count} slices, from 0 to {count - 1}")
    found = [i for i, s in enumerate(series.slices) if series.instances[s.instance].text("SOPInstanceUID") == text]
    if not found:
        raise UsageError(f"--slice: {text[:64]} is neither an instance of series {series.uid} nor the index of a slice")
    if len(found) > 1:
        raise UsageError(f"--slice: the instance has {len(found)} slices; give the index of one, from 0")
    return found[0]


def _regions(plane: Plane, mask: npt.NDArray[np.bool_], segment: Segment, tolerance: float | None) -> list[Region]:
    across, down = (float(length) for length in np.linalg.norm(plane.axes, axis=1))
    allowed = safe_tolerance((across, down)) if tolerance is None else tolerance
    return [
        Region(
            f"{segment.number}.{plane.index}.{part}",
            segment,
            plane.index,
            plane.sop_instance_uid,
            plane.frame,
            _written(plane.to_patient(line)),
            round(area(line) * across * down, 3),
        )
        for part, line in enumerate(outlines(mask, (across, down), allowed), 1)
    ]


def _written(points: Array) -> Array:
    """Return points as they are stored, without what is twice in a row then."""
    rounded = np.round(points, DECIMALS) + 0.0
    return rounded[np.any(rounded != np.roll(rounded, 1, axis=0), axis=1)]
