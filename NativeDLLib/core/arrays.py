"""Names for kinds of arrays, and the smallest box around what is in one."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
"""Coordinates in mm, and what is computed from them."""
Index = npt.NDArray[np.intp]
Labels = npt.NDArray[np.uint16]


def box_of(mask: Array) -> tuple[slice, ...] | None:
    """Return the part of each axis of a mask that holds all of it; None where there is nothing in it."""
    slices: list[slice] = []
    while mask.ndim:
        hits = np.flatnonzero(mask.any(axis=tuple(range(1, mask.ndim))))
        if not len(hits):
            return None
        slices.append(slice(int(hits[0]), int(hits[-1]) + 1))
        # The other axes need no second look at the whole.
        mask = np.asarray(mask[slices[-1]].any(axis=0))
    return tuple(slices)
