"""The smallest box around what is in a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def box_of(mask: npt.NDArray[Any]) -> tuple[slice, ...] | None:
    """Return the part of each axis of a mask that holds all of it; None where there is nothing in it."""
    slices = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(hit):
            return None
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(slices)
