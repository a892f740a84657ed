"""Cases of a training: an image and its labels on the network's own grid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

from NativeDLLib.core.arrays import Array
from NativeDLLib.inference.preprocess import prepare
from NativeDLLib.registry.entry import InputContract

_UNLABELLED_EDGES = (-500.0, -150.0, -20.0, 100.0)  # air, lung and edges, fat, soft tissue, bone
_FIRST_UNLABELLED = 200
UNLABELLED_AIR, FAT, SOFT = _FIRST_UNLABELLED, _FIRST_UNLABELLED + 2, _FIRST_UNLABELLED + 3
"""Classes of unlabelled air, fat and soft tissue."""
# How far, in voxels, two grids may be apart and still be one.
_SAME_GRID = 0.01


@dataclass(frozen=True)
class Case:
    """A CT at the network's spacing with a label for every voxel; arrays are (z, y, x)."""

    image: Tensor  # Hounsfield units, float32
    classes: Tensor  # structure at each voxel, uint8; unlabelled voxels carry 200 and above, by kind of tissue
    target: Tensor  # class of the network at each voxel, uint8; 0 is the background
    means: Tensor  # mean Hounsfield units of each of the 256 classes
    uptake: Tensor  # how strongly each class takes up contrast medium in augmentation


def make_case(
    image: sitk.Image, labels: sitk.Image, target: sitk.Image, uptake: Mapping[int, float], contract: InputContract
) -> Case:
    """Case on the grid of inference, from an image in Hounsfield units and labels on grids of their own. `labels` holds
    the structure at each voxel (0 for unknown), `target` the network's class, `uptake` the contrast uptake by label.
    """
    as_stored = replace(contract.channels[0], clip=None, normalization="none")
    prepared = prepare(image, replace(contract, channels=(as_stored,)))
    hu = torch.from_numpy(prepared.volume[0]).clip(-1024, 3071)
    if not _is_same(labels, prepared.grid):
        labels = sitk.Resample(labels, prepared.grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    structures, table = _few(sitk.GetArrayFromImage(labels))
    classes = torch.from_numpy(structures)
    kind = torch.bucketize(mean_near(hu), torch.tensor(_UNLABELLED_EDGES)).to(torch.uint8) + _FIRST_UNLABELLED
    classes = torch.where(classes == 0, kind, classes)
    index = classes.flatten().long()
    counts = torch.bincount(index, minlength=256).clamp(min=1)
    means = torch.bincount(index, weights=hu.flatten(), minlength=256).float() / counts
    factors = torch.zeros(256)
    for label, factor in uptake.items():
        if label in table:
            factors[table[label]] = factor
    return Case(hu, classes, torch.from_numpy(on_grid(target, prepared.grid)), means, factors)


def mean_near(values: Tensor, *, count_outside: bool = False) -> Tensor:
    """Mean of the 3 x 3 x 3 voxels around each voxel (z, y, x). Along an axis with less than three it is of one.
    `count_outside` takes voxels beyond the border for zeros; they are left out otherwise.
    """
    width = [3 if size > 2 else 1 for size in values.shape]
    border = [size // 2 for size in width]
    return functional.avg_pool3d(values[None, None], width, 1, border, count_include_pad=count_outside)[0, 0]


def on_grid(classes: sitk.Image, grid: sitk.Image) -> Array:
    """Classes on a grid, uint8 (z, y, x): each voxel gets the class that fills most of it. Each class is averaged over
    the source voxels and interpolated linearly, as images are; outside is background.
    """
    if _is_same(classes, grid):
        return np.asarray(sitk.GetArrayFromImage(classes), np.uint8)
    orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(grid.GetDirection())
    oriented = sitk.DICOMOrient(classes, orientation)
    sizes = zip(grid.GetSpacing(), oriented.GetSpacing(), oriented.GetSize(), strict=True)
    shrink = [min(size, max(1, int(new / old + 0.01))) for new, old, size in sizes]
    best: Any = np.zeros(grid.GetSize()[::-1], np.float32)
    found = np.zeros(best.shape, np.uint8)
    rest = np.ones_like(best)
    for value in np.unique(sitk.GetArrayViewFromImage(oriented)):
        if value == 0:
            continue
        part = sitk.BinShrink(sitk.Cast(oriented == int(value), sitk.sitkFloat32), shrink)
        here = sitk.GetArrayFromImage(sitk.Resample(part, grid, sitk.Transform(), sitk.sitkLinear, 0.0))
        rest -= here
        found[here > best] = value
        np.maximum(best, here, out=best)
    found[rest > best] = 0
    return found


def _few(labels: Array) -> tuple[Array, dict[int, int]]:
    """Labels below the unlabelled ones', with the new ones by the old; those beyond that number become unlabelled."""
    values = np.unique(labels[labels > 0])
    if not len(values) or values[-1] < _FIRST_UNLABELLED:
        return labels.astype(np.uint8), {int(value): int(value) for value in values}
    values = values[: _FIRST_UNLABELLED - 1]
    place = np.searchsorted(values, labels)
    known = values[np.minimum(place, len(values) - 1)] == labels
    return np.where(known, place + 1, 0).astype(np.uint8), {int(value): i for i, value in enumerate(values, 1)}


def _is_same(image: sitk.Image, grid: sitk.Image) -> bool:
    corners = [(0, 0, 0), tuple(n - 1 for n in grid.GetSize())]
    places = [image.TransformPhysicalPointToContinuousIndex(grid.TransformIndexToPhysicalPoint(c)) for c in corners]
    return image.GetSize() == grid.GetSize() and float(np.abs(np.subtract(places, corners)).max()) < _SAME_GRID
