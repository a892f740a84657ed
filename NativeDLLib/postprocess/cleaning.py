"""The steps that clean each segment by itself: ``keep_largest``, ``remove_small``, ``fill_holes``."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.arrays import Bools, box_of
from NativeDLLib.postprocess.state import State


def keep_largest(state: State, *, labels: Collection[int] | None = None) -> None:
    """Keep the largest part of each segment, of equal ones the first; parts touch at faces, edges or corners."""
    for part, mask, _ in _each(state, labels):
        part[_dropped(mask, lambda voxels: np.arange(len(voxels)) != np.argmax(voxels))] = 0


def remove_small(state: State, *, min_ml: float, labels: Collection[int] | None = None) -> None:
    """Remove the parts of each segment that have less than a volume in mL; see `keep_largest`."""
    least = float(min_ml) / (float(np.prod(state.image.GetSpacing())) / 1000)
    for part, mask, _ in _each(state, labels):
        part[_dropped(mask, lambda voxels: voxels < least)] = 0


def fill_holes(state: State, *, labels: Collection[int] | None = None) -> None:
    """Give the background that a segment encloses in three dimensions to the segment; see `keep_largest`."""
    for part, mask, number in _each(state, labels):
        filled = sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8)), fullyConnected=False)
        part[(sitk.GetArrayViewFromImage(filled) == 1) & (part == 0)] = number


def _each(state: State, wanted: Collection[int] | None) -> Iterator[tuple[npt.NDArray[Any], Bools, int]]:
    """Give the part of the labels around each segment that is there, its mask in that part, and its number."""
    for segment in state.segments:
        if wanted is None or segment.label in wanted:
            box = box_of(state.inside == segment.number)
            if box is not None:
                part = state.inside[box]
                yield part, part == segment.number, segment.number


def _dropped(mask: Bools, drop: Callable[[npt.NDArray[np.intp]], Bools]) -> Bools:
    """Return the voxels of the connected parts that are dropped, given how many voxels each part has."""
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    parts = sitk.GetArrayViewFromImage(components)
    dropped: Bools = np.concatenate([[False], drop(np.bincount(parts.ravel())[1:])])[parts]
    return dropped
