"""One core that a network found, along the spine: whether it is one vertebral body, and where several are cut apart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from NativeDLLib.core.arrays import Points

EDGE_MM = 3.0
"""Edge of the voxels on which vertebrae are told apart."""
# Bodies are wider than high at every level (C3 to C7 and L1 to L5: Gilad and Nissan, J Anat 143 (1985) 115; T1 to L5:
# Kunkel et al., J Anat 216 (2010) 320), and the highest, of L3, 30 mm: a core beyond is more than one.
_HIGHEST_MM = 36.0
_HEIGHT_OF_ONE, _HEIGHT_OF_SEVERAL = 0.95, 1.3  # of its width
_ALIKE, _TALL = 1.4, 1.6  # of the height of its neighbours
# Where two bodies have run together, they are this much narrower.
_NARROW = 0.8
# Distances of vertebrae from each other differ by so much from one to the next; a core's ends are known to a voxel.
_DRIFT, _ENDS_MM = 0.15, 2.0
_UNEVEN = 0.3


class Neighbours(NamedTuple):
    """The usual height of the cores nearby, and their distance from each other, in mm."""

    height: float
    apart: float


class Cut(NamedTuple):
    """Borders between the bodies of a core, in voxels from its lower end, and whether their number is certain."""

    borders: Sequence[float]
    sure: bool


def profile(along: Points) -> Points:
    """Areas (mm2) of a core from its lower end, one a voxel, by its voxels' places along the spine in mm."""
    voxels = np.bincount(np.rint((along - along.min()) / EDGE_MM).astype(int))
    return voxels.astype(np.float64) * EDGE_MM**2


def may_be_one(areas: Points) -> bool:
    """Whether a core is not too high, by itself, for that of one body."""
    return len(areas) * EDGE_MM <= min(_HEIGHT_OF_SEVERAL * _width(areas), _HIGHEST_MM)


def cut(areas: Points, neighbours: Neighbours | None) -> Cut:
    """Find the borders between bodies that have run together in a core. Its own width tells one body from several, its
    neighbours tell how many. It is certain where the core is narrow at even distances that are those of its neighbours,
    or where it is as high as two.
    """
    height, width = len(areas) * EDGE_MM, _width(areas)
    usual = neighbours.height if neighbours else _HEIGHT_OF_ONE * width
    if may_be_one(areas) and not (neighbours and height > _TALL * usual):
        return Cut((), height <= _HEIGHT_OF_ONE * width or bool(neighbours and height <= _ALIKE * usual))
    # Between two cores are two voxels and the disc.
    apart = neighbours.apart if neighbours else usual + 3 * EDGE_MM
    count, tolerance = (height + apart - usual) / apart, _DRIFT - _ENDS_MM / apart
    waists = _waists(areas)
    if waists and _are_even(waists, len(areas)) and abs(count / (len(waists) + 1) - 1) <= tolerance:
        return Cut(waists, neighbours is not None)
    parts = max(2, round(count))
    even = [len(areas) * number / parts - 0.5 for number in range(1, parts)]
    return Cut(even, neighbours is not None and abs(count / 2 - 1) <= tolerance)


def _width(areas: Points) -> float:
    """Diameter in mm of a core where it is widest."""
    widest = np.sort(areas)[-max(3, len(areas) // 4) :]
    return float(2 * np.sqrt(widest.mean() / np.pi))


def _waists(areas: Points) -> list[float]:
    """Places, in voxels from the lower end, where a core is narrower than below and above."""
    smooth = np.convolve(np.pad(areas, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    waists, widest, low = [], 0.0, 0
    for place, area in enumerate(smooth):
        if area >= widest:
            widest, low = area, place
        elif area < smooth[low]:
            low = place
        elif smooth[low] <= _NARROW * min(widest, area):
            waists.append(float(low))
            widest, low = area, place
    return waists


def _are_even(borders: Sequence[float], length: int) -> bool:
    """Whether pieces are alike; those at the ends lack half a disc, and may be cut by the image."""
    pieces = np.diff([-1.0, *borders, float(length)])
    usual = np.median(pieces)
    return bool(np.all(np.abs(pieces[1:-1] / usual - 1) <= _UNEVEN) and np.all(pieces <= (1 + _UNEVEN) * usual))
