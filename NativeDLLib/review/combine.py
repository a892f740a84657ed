"""Reviewed segments in one array, as a SEG or a structure set is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.errors import UsageError
from NativeDLLib.dicom.seg import Kind
from NativeDLLib.review.decisions import ReviewedSegment
from NativeDLLib.source import Grid


def combined(stored: Sequence[ReviewedSegment], grid: Grid, kind: Kind) -> npt.NDArray[Any]:
    """Return a label map (z, y, x), or where segments overlap an array (z, y, x, segment) of booleans.

    Parameters
    ----------
    stored
        The segments; their numbers in the label map count from 1.
    grid
        The source's.
    kind
        BINARY, or LABELMAP, in which segments cannot overlap.

    Raises
    ------
    UsageError
        Where they overlap in a LABELMAP.
    """
    shape = grid.size[::-1]
    labels = np.zeros(shape, np.uint8 if len(stored) <= 255 else np.uint16)
    overlaps = False
    for number, segment in enumerate(stored, 1):
        region, inside = labels[segment.mask.place], segment.mask.values
        there = region[inside]
        if there.any():
            overlaps = True
            if kind == "LABELMAP":
                other = stored[int(there.max()) - 1].segment.name
                raise UsageError(
                    f"segments '{other}' and '{segment.segment.name}' overlap in {np.count_nonzero(there)} voxels, "
                    "which a LABELMAP cannot hold; store a BINARY segmentation"
                )
        region[inside] = number
    if not overlaps:
        return labels
    masks = np.zeros((*shape, len(stored)), bool)
    for index, segment in enumerate(stored):
        masks[(*segment.mask.place, index)] = segment.mask.values
    return masks
