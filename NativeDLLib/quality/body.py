"""Organs on the wrong side of the body, as mirrored or turned images and wrong headers show them.

The body is the largest connected part denser than lung. Its middle, at the levels of a segment, is that of its outline,
so that lungs and gas do not pull it aside. Nothing is said where the field of view cuts the outline: a narrow
reconstruction around an organ has that organ in its middle. An organ must be on the wrong side by a twentieth of the
body's width, more than scoliosis, a raised arm or a table at the back give. A single organ cannot tell head from feet,
and PatientPosition proves nothing: patients lie prone, and scanners write their input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.masks import SIDES, letter
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source.geometry import Grid

_LUNG_HU = -300
_SAMPLING_MM = 4.0
_WRONG_BY = 0.05
# A border that shows this part of the body's largest section cuts it.
_CUT = 0.1
_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A"}


def wrong_sides(
    values: npt.NDArray[Any], labels: npt.NDArray[Any], grid: Grid, segments: Sequence[Segment]
) -> Iterator[Finding]:
    """Findings of segments whose centre is on the other side of the body than their `plausible.side`.

    `values` is in HU, `labels` has numbers from 1 in the order of the segments; both (z, y, x).
    """
    if not any(segment.plausible.side for segment in segments):
        return
    steps = [max(1, round(_SAMPLING_MM / spacing)) for spacing in grid.spacing]
    sampling = tuple(slice(None, None, step) for step in steps[::-1])
    spacings = [step * spacing for step, spacing in zip(steps, grid.spacing, strict=True)]
    body, sampled = _largest_part(values[sampling] > _LUNG_HU), labels[sampling]
    # Image axes (0 for x) by the patient's axis that they follow: right-left, front-back, feet-head.
    ends = [letter(grid, axis, end=True) for axis in range(3)]
    levels = 2 - next(axis for axis in range(3) if ends[axis] in "HF")
    for number, segment in enumerate(segments, 1):
        here = sampled == number
        with_segment = here.any(axis=tuple(axis for axis in range(3) if axis != levels))
        for side in segment.plausible.side if with_segment.any() else "":
            axis = next(axis for axis in range(3) if ends[axis] in (side, _OPPOSITE[side]))
            where = _beside_middle(body.compress(with_segment, levels), here.compress(with_segment, levels), 2 - axis)
            if where is None:
                continue
            offset = where[0] * spacings[axis] * (1 if ends[axis] == side else -1)
            if offset < -_WRONG_BY * where[1] * spacings[axis]:
                message = (
                    f"{segment.name}: its centre lies {-offset:.0f} mm {SIDES[_OPPOSITE[side]]} of the middle of the "
                    f"body, where {SIDES[side]} of it is normal; the images may be mirrored or turned"
                )
                yield Finding("orientation-suspicious", message, segment.name)


def _largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    parts = sitk.GetArrayViewFromImage(components)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest: npt.NDArray[np.bool_] = (parts == sizes.argmax()) & mask
    return largest


def _beside_middle(
    body: npt.NDArray[np.bool_], segment: npt.NDArray[np.bool_], axis: int
) -> tuple[float, float] | None:
    """Distance of a segment from the middle of the body along an array axis, and the body's width, in voxels."""
    body, segment = np.moveaxis(body, axis, 0), np.moveaxis(segment, axis, 0)
    outline = np.logical_or.accumulate(body) & np.logical_or.accumulate(body[::-1])[::-1]
    profile = outline.sum(axis=(1, 2))
    if max(profile[0], profile[-1]) > _CUT * profile.max() or not profile.any():
        return None
    places = np.arange(len(profile))
    own = segment.sum(axis=(1, 2))
    middle = float((places * profile).sum() / profile.sum())
    centre = float((places * own).sum() / own.sum())
    return centre - middle, float(np.count_nonzero(profile > _CUT * profile.max()))
