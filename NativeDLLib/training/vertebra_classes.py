"""Classes of the vertebra network: vertebrae with the core of each body, the sacrum and the ribs."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools

SPACING_MM = 3.0
VERTEBRA, CORE = 1, 2
_CANAL_VOXELS = 4  # fewer in a slice are the edge of something else
_SMOOTH_SLICES = 5
_TREND_SLICES = 12


def vertebra_classes(labels: sitk.Image, mapping: Mapping[int, int], canal: Collection[int]) -> sitk.Image:
    """Classes of the vertebra network, uint8 at 3 mm in LPS.

    They are 1 for a vertebra outside its core, 2 for the core, and others of `mapping`. A core is the part of a
    vertebra in front of the spinal canal, eroded by one voxel. At least two voxels lie between the cores of neighbours,
    so each connected component is one vertebra. The image's border erodes nothing. `labels` has one value for each
    vertebra; `canal` holds the values of the spinal canal or cord.
    """
    grid = _at_spacing(sitk.DICOMOrient(labels, "LPS"))
    values: Array = sitk.GetArrayFromImage(grid)
    classes = np.zeros(values.shape, np.uint8)
    for label, number in mapping.items():
        classes[values == label] = number
    vertebrae = classes == VERTEBRA
    front = canal_front(np.isin(values, list(canal)), vertebrae)
    before = np.arange(values.shape[1])[None, :, None] < front[:, None, None]
    for label in np.unique(values[vertebrae]):
        classes[_core((values == label) & before)] = CORE
    result = sitk.GetImageFromArray(classes)
    result.CopyInformation(grid)
    return result


def canal_front(canal: Bools, vertebrae: Bools) -> npt.NDArray[np.float64]:
    """Index y of the front edge of the spinal canal in each slice, from masks (z, y, x) in LPS.

    An unlabelled canal is the hole in the ring of a vertebra. Where no ring is closed the edge is interpolated, and
    beyond the last known slice the line of the nearest ones goes on.
    """
    front = np.full(len(canal), np.nan)
    for z in np.flatnonzero(vertebrae.any(axis=(1, 2)) | canal.any(axis=(1, 2))):
        inside = canal[z] if np.count_nonzero(canal[z]) >= _CANAL_VOXELS else _largest_hole(vertebrae[z])
        rows = np.flatnonzero(inside.any(axis=1))
        if np.count_nonzero(inside) >= _CANAL_VOXELS:
            front[z] = rows[0]
    known = np.flatnonzero(~np.isnan(front))
    if not len(known):
        return np.full(len(canal), float(canal.shape[1]))
    reach = _SMOOTH_SLICES // 2
    smooth = [np.nanmedian(front[max(0, z - reach) : z + reach + 1]) for z in known]
    slices = np.arange(len(front))
    result: npt.NDArray[np.float64] = np.interp(slices, known, smooth)
    for ends, beyond in (
        (slice(None, _TREND_SLICES), slices < known[0]),
        (slice(-_TREND_SLICES, None), slices > known[-1]),
    ):
        if beyond.any() and len(known[ends]) > 2:
            result[beyond] = np.polyval(np.polyfit(known[ends], smooth[ends], 1), slices[beyond])
    return result


def _largest_hole(ring: Bools) -> Bools:
    image = sitk.GetImageFromArray(ring.astype(np.uint8))
    holes = sitk.ConnectedComponent(sitk.And(sitk.BinaryFillhole(image), sitk.Not(image)))
    numbers = sitk.GetArrayFromImage(holes)
    counts = np.bincount(numbers.ravel())
    counts[0] = 0
    largest: Bools = (numbers == counts.argmax()) & (numbers > 0)
    return largest


def _core(body: Bools) -> Bools:
    filled = sitk.BinaryFillhole(sitk.GetImageFromArray(body.astype(np.uint8)))
    eroded = sitk.BinaryErode(filled, [1, 1, 1], sitk.sitkBox, 0, 1, True)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(eroded), sortByObjectSize=True)
    core: Bools = sitk.GetArrayFromImage(parts) == 1
    return core & body


def _at_spacing(labels: sitk.Image) -> sitk.Image:
    size = [max(1, round(n * s / SPACING_MM)) for n, s in zip(labels.GetSize(), labels.GetSpacing(), strict=True)]
    first = [(SPACING_MM / s - 1) / 2 for s in labels.GetSpacing()]
    origin = labels.TransformContinuousIndexToPhysicalPoint(first)
    spacing = (SPACING_MM,) * 3
    return sitk.Resample(
        labels, size, sitk.Transform(), sitk.sitkNearestNeighbor, origin, spacing, labels.GetDirection(), 0
    )
