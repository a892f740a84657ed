"""Masks of contours on the slices of a series.

A pixel is inside where the row that leads to its centre crosses the contours of its slice an odd number of times. This
is right for keyholes, whose channels are crossed twice, for CLOSED_PLANAR_XOR, and for the holes that many systems
write as contours of their own. A pixel whose centre lies on a contour is inside too (PS3.3 C.8.8.6.3): many systems
draw through the centres of the outermost pixels.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.arrays import Bools, Points
from NativeDLLib.source import Series
from NativeDLLib.source.plane import Plane

# How near to a contour, in pixels, a centre lies on it: more than the decimals of coordinates leave.
_ON = 1e-3
# Edges that are worked on at a time: each may cross every row.
_CHUNK = 4096


def mask_of(series: Series, contours: Iterable[Points]) -> tuple[Bools, int]:
    """Mask (z, y, x) inside closed planar contours, and the number of contours that lie on no slice.

    Contours are (n, 3) in mm, LPS; each belongs to its nearest slice, if that is less than half a slice away.
    """
    columns, rows, count = series.grid.size
    mask = np.zeros((count, rows, columns), bool)
    lines: dict[int, list[Points]] = {}
    elsewhere = 0
    for points in contours:
        plane = Plane.of(series, _nearest(series, points))
        if np.abs(plane.heights(points)).max() > series.grid.spacing[2] / 2:
            elsewhere += 1
        else:
            lines.setdefault(plane.index, []).append(plane.to_pixels(points))
    for index, pixels in lines.items():
        mask[index] = fill(pixels, (rows, columns))
    return mask, elsewhere


def fill(lines: Iterable[Points], shape: tuple[int, int]) -> Bools:
    """Return the mask (y, x) that closed lines (n, 2) of (column, row) bound together, by the even-odd rule."""
    rows, columns = shape
    crossed = np.zeros((rows, columns + 1), np.int32)
    touched = np.zeros((rows, columns + 1), np.int32)
    for line in lines:
        low, high = _upwards(line, np.roll(line, -1, axis=0))
        for start in range(0, len(line), _CHUNK):
            _cross(low[start : start + _CHUNK], high[start : start + _CHUNK], crossed, touched)
    inside = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return np.asarray(inside | (np.cumsum(touched, axis=1)[:, :columns] > 0), bool)


def _upwards(first: Points, second: Points) -> tuple[Points, Points]:
    """Return the ends of edges in one order, so that both ways along a channel are crossed at the same place."""
    swap = (first[:, 1] > second[:, 1]) | ((first[:, 1] == second[:, 1]) & (first[:, 0] > second[:, 0]))
    swapped = swap[:, None]
    return np.where(swapped, second, first), np.where(swapped, first, second)


def _cross(low: Points, high: Points, crossed: npt.NDArray[np.int32], touched: npt.NDArray[np.int32]) -> None:
    """Count where edges cross rows, from the next centre on, and where they touch centres, from there to the end."""
    rows, columns = crossed.shape[0], crossed.shape[1] - 1
    top = np.clip(np.ceil(low[:, 1] - _ON), 0, rows).astype(int)
    end = np.clip(np.floor(high[:, 1] + _ON) + 1, top, rows).astype(int)
    edge = np.repeat(np.arange(len(low)), end - top)
    row = top[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(end - top) - (end - top), end - top)
    a, b = low[edge], high[edge]
    rise = b[:, 1] - a[:, 1]
    flat = rise < _ON
    way = np.clip((row - a[:, 1]) / np.where(flat, 1, rise), 0, 1)
    x = a[:, 0] + way * (b[:, 0] - a[:, 0])
    real = (a[:, 1] <= row) & (row < b[:, 1])
    np.add.at(crossed, (row[real], np.clip(np.ceil(x[real]), 0, columns).astype(int)), 1)
    left, right = (np.where(flat, choose(a[:, 0], b[:, 0]), x) for choose in (np.minimum, np.maximum))
    start = np.clip(np.ceil(left - _ON), 0, columns).astype(int)
    stop = np.clip(np.floor(right + _ON) + 1, start, columns).astype(int)
    np.add.at(touched, (row, start), 1)
    np.add.at(touched, (row, stop), -1)


def _nearest(series: Series, points: Points) -> int:
    normal = np.reshape(series.grid.direction, (3, 3))[:, 2]
    height = float((points.mean(axis=0) - series.grid.origin) @ normal)
    return int(np.clip(round(height / series.grid.spacing[2]), 0, len(series.slices) - 1))
