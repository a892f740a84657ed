"""Contours back on the slices of a series: which pixels they bound.

A pixel is inside where a ray from its centre crosses the contours of its slice an odd number of times. This is right
for keyholes, whose channels are crossed twice, for CLOSED_PLANAR_XOR, and for the holes that many systems write as
contours of their own. What lies on a contour is inside (PS3.3 C.8.8.6.3).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from NativeDLLib.dicom import Series
from NativeDLLib.dicom.geometry import Array
from NativeDLLib.dicom.plane import Plane


def mask_of(series: Series, contours: Iterable[Array]) -> tuple[npt.NDArray[np.bool_], int]:
    """Return the mask (z, y, x) that closed planar contours bound, and how many of them lie on no slice.

    Parameters
    ----------
    series
        Whose slices are meant.
    contours
        Points (n, 3) in mm, LPS. Each belongs to the slice that it is nearest to, if that is less than half a slice
        away.
    """
    from skimage.draw import polygon

    columns, rows, count = series.grid.size
    mask = np.zeros((count, rows, columns), bool)
    planes: dict[int, Plane] = {}
    elsewhere = 0
    for points in contours:
        index = _slice(series, points)
        plane = planes.setdefault(index, Plane.of(series, index))
        if np.abs(plane.heights(points)).max() > series.grid.spacing[2] / 2:
            elsewhere += 1
            continue
        pixels = plane.to_pixels(points)
        inside = polygon(pixels[:, 1], pixels[:, 0], (rows, columns))
        mask[(index, *inside)] ^= True
    return mask, elsewhere


def _slice(series: Series, points: Array) -> int:
    normal = np.reshape(series.grid.direction, (3, 3))[:, 2]
    height = float((points.mean(axis=0) - series.grid.origin) @ normal)
    return int(np.clip(round(height / series.grid.spacing[2]), 0, len(series.slices) - 1))
