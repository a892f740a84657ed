"""The ``away_from_skull`` step: a network that never saw brains takes them for other organs; no such organ is there."""

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.postprocess.state import State

# Fine enough for the thinnest bone of the vault, with gaps of twice the radius closed.
_GRID_MM = (2.0, 2.0, 4.0)
_CLOSING_VOXELS = 2
_BONE_HU, _BODY_HU, _BRAIN_HU = 250.0, -300.0, (0.0, 80.0)
# A vertebra, a pelvis or ribs enclose at most 17 cm2 and 4 % of the body's section in the CTs at hand, a skull 60 to
# 200 cm2 and more than 40 %.
_LEAST_CM2, _MOST_CM2, _LEAST_SHARE = 50.0, 350.0, 0.35
_LEAST_SLICES = 3


def away_from_skull(state: State, *, distance_mm: float) -> None:
    """Leave out findings at a skull, or less than `distance_mm` above or below it along the patient's axis."""
    classes, image = state.labels, state.image
    extent = skull_extent(image) if classes.any() else None
    if extent is None:
        return
    low, high = extent[0] - distance_mm, extent[1] + distance_mm
    spacing, size = image.GetSpacing(), image.GetSize()
    toward_head = np.array(image.GetDirection()).reshape(3, 3)[2] * spacing
    in_slice = toward_head[1] * np.arange(size[1])[:, None] + toward_head[0] * np.arange(size[0])
    taken = 0
    for k, plane in enumerate(classes):
        height = image.GetOrigin()[2] + toward_head[2] * k + in_slice
        near = (height >= low) & (height <= high) & (plane > 0)
        taken += int(near.sum())
        plane[near] = 0
    if not taken:
        return
    volume = taken * float(np.prod(spacing)) / 1000
    state.remarks.append(
        f"a skull is in the images: {volume:.1f} mL of what the network found lie at it or less than "
        f"{distance_mm:g} mm from it, and are left out"
    )


def skull_extent(image: sitk.Image) -> tuple[float, float] | None:
    """Extent in mm along the patient's axis in which bone encloses a brain, in HU; None where none is seen."""
    axial = _axial(image)
    bone = sitk.BinaryMorphologicalClosing(
        sitk.ConstantPad(axial > _BONE_HU, (_CLOSING_VOXELS,) * 2 + (0,), (_CLOSING_VOXELS,) * 2 + (0,)),
        (_CLOSING_VOXELS, _CLOSING_VOXELS, 0),
    )[_CLOSING_VOXELS:-_CLOSING_VOXELS, _CLOSING_VOXELS:-_CLOSING_VOXELS, :]
    heights = [
        axial.GetOrigin()[2] + k * _GRID_MM[2]
        for k in range(axial.GetSize()[2])
        if _encloses_brain(axial[:, :, k], bone[:, :, k])
    ]
    return (heights[0], heights[-1]) if len(heights) >= min(_LEAST_SLICES, axial.GetSize()[2]) else None


def _axial(image: sitk.Image) -> sitk.Image:
    """Return an image on a coarse grid along the patient's axes."""
    last = np.array(image.GetSize()) - 1
    corners = [[int(i) for i in last * choice] for choice in np.ndindex(2, 2, 2)]
    places = np.array([image.TransformIndexToPhysicalPoint(corner) for corner in corners])
    first = places.min(axis=0)
    size = ((places.max(axis=0) - first) / _GRID_MM).astype(int) + 1
    identity = np.eye(3).ravel().tolist()
    return sitk.Resample(
        image, size.tolist(), sitk.Transform(), sitk.sitkLinear, first.tolist(), _GRID_MM, identity, -1000.0,
        sitk.sitkFloat32,
    )  # fmt: skip


def _encloses_brain(section: sitk.Image, bone: sitk.Image) -> bool:
    inside = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.BinaryFillhole(bone) - bone), sortByObjectSize=True)
    mask = sitk.GetArrayViewFromImage(inside) == 1
    count = int(mask.sum())
    if not _LEAST_CM2 <= count * _GRID_MM[0] * _GRID_MM[1] / 100 <= _MOST_CM2:
        return False
    values: npt.NDArray[Any] = sitk.GetArrayViewFromImage(section)
    if not _BRAIN_HU[0] <= float(np.median(values[mask])) <= _BRAIN_HU[1]:
        return False
    body = sitk.GetArrayViewFromImage(sitk.ConnectedComponent(sitk.BinaryFillhole(section > _BODY_HU)))
    whole = int((body == np.bincount(body[mask]).argmax()).sum())
    return count >= _LEAST_SHARE * whole
