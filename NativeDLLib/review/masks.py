"""Masks of any grid on the slices of a series.

Where both grids are the same lattice of voxels, cropped or not, voxels are copied. Where the mask's grid is coarser or
as fine, each voxel of the source takes the value at its centre. Where it is finer, a voxel of the source takes the
value of most of the mask's voxels in it. Of a voxel with two equal halves, the half towards the first voxel decides: no
voxel belongs to two segments that do not overlap, and segments neither grow nor shrink.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools, Points, box_of
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Kind
from NativeDLLib.source import Grid

# Voxels of the mask that are looked at in one of the source, along each axis.
_MOST_SAMPLES = 10
# Source slices that are worked on at a time.
_SLAB = 8
# How far, in voxels, the ends of two grids may be apart for them to be one lattice.
_SAME_LATTICE = 0.1


@dataclass(frozen=True)
class Mask:
    """Where a segment is: booleans (z, y, x), and the index (z, y, x) of the first of them on the source's grid."""

    values: Bools
    start: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Slices (z, y, x) of an array on the source's grid that hold the values."""
        z, y, x = (slice(first, first + n) for first, n in zip(self.start, self.values.shape, strict=True))
        return z, y, x

    @property
    def voxels(self) -> int:
        """How many voxels it has."""
        return int(np.count_nonzero(self.values))


@dataclass(frozen=True)
class Resampled:
    """Labels of one layer on the source's grid, as far as the layer reaches."""

    labels: Array
    start: tuple[int, int, int]

    def mask(self, value: int) -> Mask:
        """Return the mask of a label value, cropped to where it is."""
        values: Bools = self.labels == value
        box = box_of(values) or (slice(0, 0),) * 3
        z, y, x = (first + part.start for first, part in zip(self.start, box, strict=True))
        return Mask(values[box].copy(), (z, y, x))


def resample_to(grid: Grid, layer: sitk.Image, values: Sequence[int], progress: Progress) -> Resampled:
    """Masks of the label `values` in a layer of any grid, on the grid of a source."""
    steps, origin = _relative(layer, grid)
    size = np.array(layer.GetSize())
    reached = _corners(np.full(3, -0.5), size - 0.5) @ steps.T + origin
    first = np.clip(np.floor(reached.min(axis=0)), 0, grid.size).astype(int)
    stop = np.clip(np.ceil(reached.max(axis=0)) + 1, first, grid.size).astype(int)
    x, y, z = (int(n) for n in first)
    whole = np.round(origin)
    drift = np.abs((steps - np.eye(3)) @ size).max() + np.abs(origin - whole).max()
    labels = np.zeros((stop - first)[::-1], sitk.GetArrayViewFromImage(layer).dtype)
    if drift < _SAME_LATTICE:
        _copy(layer, labels, whole.astype(int) - first)
    elif labels.size:
        _sample(layer, labels, values, grid, first, np.linalg.inv(steps).astype(np.float64), progress)
    return Resampled(labels, (z, y, x))


def combined(masks: Sequence[tuple[str, Mask]], grid: Grid, kind: Kind) -> Array:
    """Label map (z, y, x) of named masks, numbered from 1, or booleans (z, y, x, mask) where they overlap; UsageError
    where they do in a LABELMAP.
    """
    shape = grid.size[::-1]
    labels = np.zeros(shape, np.uint8 if len(masks) <= 255 else np.uint16)
    overlaps = False
    for number, (name, mask) in enumerate(masks, 1):
        region = labels[mask.slices]
        there = region[mask.values]
        if there.any():
            overlaps = True
            if kind == "LABELMAP":
                other, _ = masks[int(there.max()) - 1]
                raise UsageError(
                    f"segments '{other}' and '{name}' overlap in {np.count_nonzero(there)} voxels, "
                    "which a LABELMAP cannot hold; store a BINARY segmentation"
                )
        region[mask.values] = number
    if not overlaps:
        return labels
    whole = np.zeros((*shape, len(masks)), bool)
    for index, (_, mask) in enumerate(masks):
        whole[(*mask.slices, index)] = mask.values
    return whole


def voxels_outside(layer: sitk.Image, value: int, grid: Grid) -> int:
    """Return how many voxels of a label value have their centre outside the source."""
    steps, origin = _relative(layer, grid)
    corners = _corners(np.zeros(3), np.array(layer.GetSize()) - 1.0) @ steps.T + origin
    if not _beyond(corners, grid).any():
        return 0
    labels = sitk.GetArrayViewFromImage(layer)
    count = 0
    for index, plane in enumerate(labels):
        rows, columns = np.nonzero(plane == value)
        points = np.stack([columns, rows, np.full(len(rows), index)], -1) @ steps.T + origin
        count += int(np.count_nonzero(_beyond(points, grid)))
    return count


def _corners(low: Points, high: Points) -> Points:
    return np.stack(np.meshgrid(*np.stack([low, high], -1), indexing="ij"), -1).reshape(-1, 3)


def _beyond(points: Points, grid: Grid) -> Bools:
    """Tell which indices (n, 3) lie beyond the outer faces of a grid's voxels."""
    rounding = 1e-3
    beyond: Bools = np.any((points < -0.5 - rounding) | (points > np.array(grid.size) - 0.5 + rounding), axis=1)
    return beyond


def _relative(layer: sitk.Image, grid: Grid) -> tuple[Points, Points]:
    """Return how the layer's voxel indices (x, y, z) become indices on the source's grid: matrix and offset."""
    theirs = np.array(layer.GetDirection()).reshape(3, 3) * layer.GetSpacing()
    ours = np.array(grid.direction).reshape(3, 3) * grid.spacing
    return np.linalg.solve(ours, theirs), np.linalg.solve(ours, np.subtract(layer.GetOrigin(), grid.origin))


def _copy(layer: sitk.Image, labels: Array, offset: Array) -> None:
    given = sitk.GetArrayViewFromImage(layer)
    target, source = [], []
    for shift, there, here in zip(offset[::-1], given.shape, labels.shape, strict=True):
        start, stop = max(0, int(shift)), min(here, int(shift) + there)
        target.append(slice(start, max(start, stop)))
        source.append(slice(start - int(shift), max(start, stop) - int(shift)))
    labels[tuple(target)] = given[tuple(source)]


def _sample(
    layer: sitk.Image, labels: Array, values: Sequence[int], grid: Grid, first: Array, finer: Points, progress: Progress
) -> None:
    """Fill `labels`, whose first voxel is `first` (x, y, z), slab by slab; `finer` is layer voxels per source voxel."""
    samples = [min(_MOST_SAMPLES, max(1, math.ceil(n - 0.01))) for n in np.abs(finer).max(axis=0)]
    axes = np.array(grid.direction).reshape(3, 3) * grid.spacing
    resampler = sitk.ResampleImageFilter()
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    resampler.SetOutputDirection(grid.direction)
    resampler.SetOutputSpacing([s / n for s, n in zip(grid.spacing, samples, strict=True)])
    kx, ky, kz = samples
    for start in range(0, len(labels), _SLAB):
        progress.check()
        slab = labels[start : start + _SLAB]
        nz, ny, nx = slab.shape
        resampler.SetSize((nx * kx, ny * ky, nz * kz))
        # From the centre of the first voxel to that of its first part.
        index = first + [0, 0, start] + [0.5 / n - 0.5 for n in samples]
        resampler.SetOutputOrigin((axes @ index + grid.origin).tolist())
        found = sitk.GetArrayFromImage(resampler.Execute(layer)).reshape(nz, kz, ny, ky, nx, kx)
        for value in values:
            inside = 2 * np.count_nonzero(found == value, axis=(1, 3, 5))
            half = (inside == kx * ky * kz) & (found[:, 0, :, 0, :, 0] == value)
            slab[(inside > kx * ky * kz) | half] = value
