"""How good a mask is: its overlap with the true one, and how far their surfaces are apart."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.arrays import box_of


@dataclass(frozen=True)
class Score:
    """A mask compared with the true one.

    `dice` is 1 where both are empty. `mean_mm` and `hausdorff95_mm` (95th percentile) are distances of surface voxels,
    None where a mask is empty.
    """

    dice: float
    mean_mm: float | None
    hausdorff95_mm: float | None


def score(found: npt.NDArray[Any], truth: npt.NDArray[Any], spacing: tuple[float, ...]) -> Score:
    """Compare two masks (z, y, x); `spacing` is (x, y, z) in mm."""
    a, b = found.astype(bool), truth.astype(bool)
    sizes = int(np.count_nonzero(a)), int(np.count_nonzero(b))
    if not all(sizes):
        return Score(0.0 if any(sizes) else 1.0, None, None)
    dice = 2 * int(np.count_nonzero(a & b)) / sum(sizes)
    box = box_of(a | b)
    assert box is not None
    a, b = a[box], b[box]
    distances = np.concatenate([_to_surface(a, b, spacing), _to_surface(b, a, spacing)])
    return Score(dice, float(distances.mean()), float(np.percentile(distances, 95)))


def _to_surface(mask: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], spacing: tuple[float, ...]) -> Any:
    """Return the distances of the surface of `mask` to that of `other`."""
    surface = sitk.GetImageFromArray(_surface(other).astype(np.uint8))
    surface.SetSpacing(spacing)
    distance = sitk.SignedMaurerDistanceMap(
        surface, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return np.maximum(sitk.GetArrayViewFromImage(distance)[_surface(mask)], 0)


def _surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the voxels of a mask that have a neighbour outside it; beyond the array is outside."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(3):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    result: npt.NDArray[np.bool_] = mask & ~inner[1:-1, 1:-1, 1:-1]
    return result
