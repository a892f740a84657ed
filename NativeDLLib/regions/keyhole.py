"""Holes joined to the outline around them, so that one closed line bounds a region with holes (PS3.3 C.8.8.6.3).

Of the two techniques of the standard this is the "keyhole": a channel without any width leads from the outline to each
hole and back. Every reader of CLOSED_PLANAR contours understands it, while CLOSED_PLANAR_XOR is younger than many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from NativeDLLib.core.arrays import Points


def join(outer: Points, holes: Sequence[Points]) -> Points | None:
    """One closed line of an outline and the holes in it, each (n, 2) without its first point repeated.

    None where a hole does not lie within the outline.
    """
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
