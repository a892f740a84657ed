"""The vertebral bodies of a spine, from the bottom up: one seed each, from the cores that a network found."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Bools, Index, Points

EDGE_MM = 3.0
"""Edge of the voxels on which vertebrae are told apart."""
SMALLEST_ML = 0.3
_VOXEL_ML = EDGE_MM**3 / 1000
_USUAL_SPACING_MM = 30.0  # where there are not two vertebrae to measure it
_TALL = 1.6
_GAP = 1.6


def find_bodies(core: Bools, vertebrae: Bools) -> list[Index]:
    """Flat indices of each body's core, from the bottom up, in masks (z, y, x), z up, of cores and of whole vertebrae.

    Merged cores are cut, pieces of one are joined, and voxels beside the spine are left out. Where a core is missing
    between two others, the vertebral voxels half way take its place.
    """
    # Without any body in the image, what there is of vertebrae is told apart by its gaps.
    bodies = _upwards(_parts(core) or _parts(vertebrae), core.shape)
    for step in (_chain, _cut, _join):
        bodies = _upwards(step(bodies, core.shape), core.shape)
    return _upwards(bodies + _between(bodies, vertebrae), core.shape)


def centres(bodies: Sequence[Index], shape: tuple[int, ...]) -> Points:
    """Return the centres of bodies, (z, y, x) in mm."""
    return np.array([_points(body, shape).mean(axis=0) for body in bodies]).reshape(-1, 3)


def spacing_mm(bodies: Sequence[Index], shape: tuple[int, ...]) -> float:
    """Return the usual distance between neighbouring bodies; fragments do not count."""
    whole = _whole(bodies)
    apart = np.linalg.norm(np.diff(centres(whole, shape), axis=0), axis=1)
    return float(np.median(apart)) if len(apart) else _USUAL_SPACING_MM


def missing_below(bodies: Sequence[Index], shape: tuple[int, ...]) -> list[int]:
    """Return for each body how many are missing between it and the next lower one."""
    apart = np.linalg.norm(np.diff(centres(bodies, shape), axis=0), axis=1)
    counts = [0]
    for index, gap in enumerate(apart):
        # Bodies become smaller towards the head: only those nearby tell how far apart two are here.
        nearby = np.delete(apart, index)[max(0, index - 2) : index + 2]
        usual = float(np.median(nearby)) if len(nearby) else _USUAL_SPACING_MM
        counts.append(round(gap / usual) - 1 if gap > _GAP * usual else 0)
    return counts[: len(bodies)]


def _parts(mask: Bools) -> list[Index]:
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    numbered = sitk.GetArrayViewFromImage(components).ravel()
    found = np.flatnonzero(numbered)
    order = found[np.argsort(numbered[found], kind="stable")]
    parts = np.split(order, np.cumsum(np.bincount(numbered)[1:])[:-1])
    return [part for part in parts if len(part) * _VOXEL_ML >= SMALLEST_ML]


def _points(body: Index, shape: tuple[int, ...]) -> Points:
    return np.stack(np.unravel_index(body, shape), axis=1).astype(np.float64) * EDGE_MM


def _upwards(bodies: Sequence[Index], shape: tuple[int, ...]) -> list[Index]:
    order = np.argsort(centres(bodies, shape)[:, 0])
    return [bodies[i] for i in order]


def _whole(bodies: Sequence[Index]) -> list[Index]:
    """Return the bodies that are not fragments."""
    sizes = np.sort([len(body) for body in bodies])
    # Half of all voxels are in bodies of at least this size, however many fragments there are.
    typical = sizes[np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)] if len(sizes) else 0
    return [body for body in bodies if len(body) >= 0.4 * typical]


def _directions(points: Points) -> Points:
    """Return the direction of the spine at each body, a unit vector upwards."""
    if len(points) < 2:
        return np.array([[1.0, 0.0, 0.0]] * len(points))
    along: Points = np.gradient(points, axis=0)
    along[:, 0] = np.maximum(along[:, 0], 1e-3)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return along


def _chain(bodies: Sequence[Index], shape: tuple[int, ...]) -> list[Index]:
    """Leave out what lies beside the spine, seen from the largest body up and down."""
    if not bodies:
        return []
    points, first = centres(bodies, shape), int(np.argmax([len(body) for body in bodies]))
    kept = [first]
    for indices in (range(first + 1, len(bodies)), range(first - 1, -1, -1)):
        last = first
        for index in indices:
            up, *aside = points[index] - points[last]
            if np.hypot(*aside) <= 25 + abs(up):
                kept.append(index)
                last = index
    return [bodies[i] for i in kept]


def _cut(bodies: Sequence[Index], shape: tuple[int, ...]) -> list[Index]:
    """Cut bodies that have run together."""
    directions = _directions(centres(bodies, shape))
    along = [_points(body, shape) @ way for body, way in zip(bodies, directions, strict=True)]
    heights = [float(np.ptp(positions)) + EDGE_MM for positions in along]
    sound = {id(body) for body in _whole(bodies)}
    whole = [height for body, height in zip(bodies, heights, strict=True) if id(body) in sound]
    result: list[Index] = []
    for body, positions, height in zip(bodies, along, heights, strict=True):
        others = list(whole)
        if height in others:
            others.remove(height)
        usual = float(np.median(others)) if len(others) >= 3 else height
        # Between two cores are two voxels and the disc.
        parts = max(2, round((height + 3 * EDGE_MM) / (usual + 3 * EDGE_MM))) if height > _TALL * usual else 1
        piece = np.minimum((positions - positions.min()) / height * parts, parts - 1).astype(int)
        result += [body[piece == i] for i in range(parts)]
    return [body for body in result if len(body)]


def _join(bodies: Sequence[Index], shape: tuple[int, ...]) -> list[Index]:
    """Join the pieces of one body."""
    nearest = spacing_mm(bodies, shape) / 2
    result = list(bodies)
    while len(result) > 1:
        points = centres(result, shape)
        way = _directions(points)
        apart = np.sum(np.diff(points, axis=0) * (way[1:] + way[:-1]) / 2, axis=1)
        closest = int(np.argmin(apart))
        if apart[closest] >= nearest:
            break
        result[closest : closest + 2] = [np.concatenate(result[closest : closest + 2])]
    return result


def _between(bodies: Sequence[Index], vertebrae: Bools) -> list[Index]:
    """Return seeds for the bodies that are missing between two."""
    points = centres(bodies, vertebrae.shape)
    seeds = []
    for index, missing in enumerate(missing_below(bodies, vertebrae.shape)):
        for number in range(1, missing + 1):
            middle = points[index - 1] + (points[index] - points[index - 1]) * number / (missing + 1)
            lower = np.maximum(np.floor(middle / EDGE_MM).astype(int) - 2, 0)
            box = tuple(slice(start, start + 5) for start in lower)
            inside = np.zeros_like(vertebrae)
            inside[box] = vertebrae[box]
            seed = np.flatnonzero(inside)
            if len(seed) * _VOXEL_ML >= SMALLEST_ML:
                seeds.append(seed)
    return seeds
