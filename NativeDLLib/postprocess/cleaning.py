"""The steps that clean: of each segment by itself, and of what a network finds in heads and in test objects."""

from collections.abc import Callable, Collection, Iterator

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools, Index, box_of
from NativeDLLib.postprocess.state import State

_BODY_HU, _BONE_HU = -300, 200
# Every second slice and every fourth row and column tell enough.
_SAMPLES = (slice(None, None, 2), slice(None, None, 4), slice(None, None, 4))


def needs_bone(state: State, *, least_percent: float) -> None:
    """Leave out everything where less of the body than in any patient is bone. `least_percent` is the share of all that
    is denser than air and lung that must be as dense as bone.
    """
    classes, image = state.labels, state.image
    if not classes.any():
        return
    values = sitk.GetArrayViewFromImage(image)[_SAMPLES]
    body, bone = int(np.count_nonzero(values > _BODY_HU)), int(np.count_nonzero(values > _BONE_HU))
    percent = 100 * bone / body if body else 0.0
    if percent >= least_percent:
        return
    volume = np.count_nonzero(classes) * float(np.prod(image.GetSpacing())) / 1000
    classes[:] = 0
    state.remarks.append(
        f"hardly any bone is in the images ({percent:.1f} % of the body), as in no patient: "
        f"{volume:.1f} mL of what the network found are left out"
    )


# Fine enough for the thinnest bone of the vault, with gaps of twice the radius closed.
_GRID_MM = (2.0, 2.0, 4.0)
_CLOSING_VOXELS = 2
_SKULL_HU, _BRAIN_HU = 250.0, (0.0, 80.0)
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
    bone = sitk.BinaryMorphologicalClosing(axial > _SKULL_HU, (_CLOSING_VOXELS, _CLOSING_VOXELS, 0))
    count, origin = axial.GetSize()[2], axial.GetOrigin()[2]
    found = [k for k in range(count) if _encloses_brain(axial[:, :, k], bone[:, :, k])]
    if len(found) < min(_LEAST_SLICES, count):
        return None
    return origin + found[0] * _GRID_MM[2], origin + found[-1] * _GRID_MM[2]


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
    mask = largest_part(sitk.BinaryFillhole(bone) - bone)
    count = int(mask.sum())
    if not _LEAST_CM2 <= count * _GRID_MM[0] * _GRID_MM[1] / 100 <= _MOST_CM2:
        return False
    values: Array = sitk.GetArrayViewFromImage(section)
    if not _BRAIN_HU[0] <= float(np.median(values[mask])) <= _BRAIN_HU[1]:
        return False
    body = sitk.GetArrayViewFromImage(sitk.ConnectedComponent(sitk.BinaryFillhole(section > _BODY_HU)))
    whole = int((body == np.bincount(body[mask]).argmax()).sum())
    return count >= _LEAST_SHARE * whole


def largest_part(mask: sitk.Image) -> Bools:
    """Largest part of a mask that is connected at faces; of equal ones the first."""
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True)
    return np.asarray(sitk.GetArrayViewFromImage(parts) == 1)


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


def _each(state: State, wanted: Collection[int] | None) -> Iterator[tuple[Array, Bools, int]]:
    """Give the part of the labels around each segment that is there, its mask in that part, and its number."""
    for segment in state.segments:
        if wanted is None or segment.label in wanted:
            box = box_of(state.inside == segment.number)
            if box is not None:
                part = state.inside[box]
                yield part, part == segment.number, segment.number


def _dropped(mask: Bools, drop: Callable[[Index], Bools]) -> Bools:
    """Return the voxels of the connected parts that are dropped, given how many voxels each part has."""
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    parts = sitk.GetArrayViewFromImage(components)
    return np.asarray(np.concatenate([[False], drop(np.bincount(parts.ravel())[1:])])[parts], bool)
