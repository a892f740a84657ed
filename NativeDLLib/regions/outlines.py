"""Outlines of the parts of a mask, with as few points as a tolerance allows.

They run halfway between the pixels that belong to the mask and those that do not. While the tolerance is less than
the distance of a pixel's centre to such a line (0.35 of a square pixel's side), the mask that they bound is the same.

Holes are joined to the outline around them by the "keyhole" of PS3.3 C.8.8.6.3: a channel without any width leads from
the outline to each hole and back. Every reader of CLOSED_PLANAR contours understands it, while CLOSED_PLANAR_XOR is
younger than many.
"""

from collections.abc import Sequence

import numpy as np

from NativeDLLib.core.arrays import Bools, Points

# Tolerance with which a mask stays the same, as a part of a pixel's smaller side.
_SAFE = 0.25
# A small part must not lose its shape to a tolerance that is meant for large ones.
_LARGEST_CHANGE = 0.02
# Only points on a straight line are left out: an outline as it was found.
_EXACT_MM = 1e-6


def outlines(mask: Bools, pixel: tuple[float, float], tolerance: float | None = None) -> list[Points]:
    """One closed line for each part of a mask (y, x), around its holes too; pixels that touch at a corner only are
    different parts. `pixel` is their size (x, y) in mm. `tolerance` is the largest distance in mm of a line from the
    mask's (Douglas and Peucker 1973), by default one with which the mask stays the same; it is less for a part whose
    area would change by more than 2 %. Points are (n, 2), column then row, pixel centres being whole numbers; the first
    is not repeated.
    """
    # Imported where it is used: whoever only reads and judges regions, as Slicer's panel does, needs none of it.
    from skimage.measure import find_contours, label, regionprops

    found = []
    for part in regionprops(label(mask, connectivity=1)):
        row, column = part.bbox[:2]
        contours = find_contours(np.pad(part.image, 1).astype(float), 0.5, fully_connected="low")
        # Of (x, y); the outline is the one that encloses all others.
        lines = sorted((line[:, ::-1] * pixel for line in contours), key=area, reverse=True)
        allowed = _SAFE * min(pixel) if tolerance is None else tolerance
        found.append(_simplified(lines, allowed) / pixel + [column - 1, row - 1])
    return found


def area(points: Points) -> float:
    """Return the area within a closed line (n, 2), without that of the holes joined to it."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def join(outer: Points, holes: Sequence[Points]) -> Points | None:
    """Closed line (n, 2) of an outline and its holes, first point not repeated; None where a hole is not within it."""
    path: Points | None = outer
    # From the left: a channel runs to the left, and meets the outline or a hole that is joined to it already.
    for hole in sorted(holes, key=lambda points: float(points[:, 0].min())):
        if path is not None:
            path = _joined(path, hole)
    return path


def _joined(path: Points, hole: Points) -> Points | None:
    start = int(hole[:, 0].argmin())
    x, y = hole[start]
    first, second = path, np.roll(path, -1, axis=0)
    rise = second[:, 1] - first[:, 1]
    level = rise == 0
    meets = (np.minimum(first[:, 1], second[:, 1]) <= y) & (y <= np.maximum(first[:, 1], second[:, 1]))
    way = (y - first[:, 1]) / np.where(level, 1, rise)
    met = np.where(level, np.maximum(first[:, 0], second[:, 0]), first[:, 0] + way * (second[:, 0] - first[:, 0]))
    met[~meets | (met > x)] = -np.inf
    edge = int(met.argmax())
    if np.isneginf(met[edge]):
        return None
    door = [[met[edge], y]]
    around = np.concatenate([hole[start:], hole[: start + 1]])
    return np.concatenate([path[: edge + 1], door, around, door, path[edge + 1 :]])


def _simplified(lines: list[Points], tolerance: float) -> Points:
    exact = _fewer(lines, _EXACT_MM)
    while tolerance > _EXACT_MM:
        fewer = _fewer(lines, tolerance)
        if min(map(len, fewer)) >= 3 and abs(_enclosed(fewer) - _enclosed(exact)) <= _LARGEST_CHANGE * _enclosed(exact):
            joined = join(fewer[0], fewer[1:])
            if joined is not None:
                return joined
        tolerance /= 2
    joined = join(exact[0], exact[1:])
    assert joined is not None, "the holes of a part lie within it"
    return joined


def _fewer(lines: list[Points], tolerance: float) -> list[Points]:
    from skimage.measure import approximate_polygon

    return [approximate_polygon(line, tolerance)[:-1] for line in lines]


def _enclosed(lines: list[Points]) -> float:
    return area(lines[0]) - sum(map(area, lines[1:]))
