"""The vertebral bodies of a spine, from the bottom up: one seed each, from the cores that a network found."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Bools, Index, Points
from NativeDLLib.postprocess.vertebra_cores import EDGE_MM, Neighbours, cut, may_be_one, profile

SMALLEST_ML = 0.3
_VOXEL_ML = EDGE_MM**3 / 1000
_USUAL_SPACING_MM = 30.0  # where there are not two vertebrae to measure it
_REACH_MM = 60.0  # along the spine, within which its direction is measured
_GAP = 1.6
_FRAGMENT = 0.3  # of the voxels of the bodies beside it
# Bodies that certainly follow each other are at most so many usual distances apart.
_NEXT, _ONE_MISSING = 1.35, (1.7, 2.3)


class Body(NamedTuple):
    """Flat indices of a core's voxels, and whether it is certain that they are those of one vertebra."""

    voxels: Index
    sure: bool = True


def find_bodies(core: Bools, vertebrae: Bools) -> list[Body]:
    """Bodies from the bottom up, in masks (z, y, x), z up, of cores and of whole vertebrae. Merged cores are cut,
    pieces of one are joined, and voxels beside the spine are left out. Where a core is missing between two others, the
    vertebral voxels half way take its place.
    """
    # Without any body in the image, what there is of vertebrae is told apart by its gaps.
    found = [Body(part) for part in parts_of(core) or parts_of(vertebrae)]
    bodies = _upwards(found, core.shape)
    for step in (_chain, _join, _cut, _join):
        bodies = _upwards(step(bodies, core.shape), core.shape)
    return _upwards(bodies + _between(bodies, vertebrae), core.shape)


def centres(bodies: Sequence[Body], shape: tuple[int, ...]) -> Points:
    """Return the centres of bodies, (z, y, x) in mm."""
    return np.array([_points(body, shape).mean(axis=0) for body in bodies]).reshape(-1, 3)


def spacing_mm(bodies: Sequence[Body], shape: tuple[int, ...]) -> float:
    """Return the usual distance between neighbouring bodies; fragments do not count."""
    apart = _apart_mm(_whole(bodies), shape)
    return float(np.median(apart)) if len(apart) else _USUAL_SPACING_MM


def _apart_mm(bodies: Sequence[Body], shape: tuple[int, ...]) -> Points:
    """Distance of each body but the lowest from the next lower one."""
    return np.asarray(np.linalg.norm(np.diff(centres(bodies, shape), axis=0), axis=1), np.float64)


def missing_below(bodies: Sequence[Body], shape: tuple[int, ...]) -> list[int | None]:
    """Return for each body how many are missing between it and the next lower one, None where that is not sure."""
    return [0 if ratio <= _NEXT else 1 if _is_one_missing(ratio) else None for ratio in _steps(bodies, shape)]


def _is_one_missing(ratio: float) -> bool:
    return _ONE_MISSING[0] <= ratio <= _ONE_MISSING[1]


def _steps(bodies: Sequence[Body], shape: tuple[int, ...]) -> list[float]:
    """Distance of each body from the next lower one, in usual distances; 1 for the lowest."""
    apart = _apart_mm(bodies, shape)
    ratios = [1.0]
    for index, gap in enumerate(apart):
        # Bodies become smaller towards the head: only those nearby tell how far apart two are here.
        nearby = np.delete(apart, index)[max(0, index - 2) : index + 2]
        ratios.append(float(gap / (np.median(nearby) if len(nearby) else _USUAL_SPACING_MM)))
    return ratios[: len(bodies)]


def parts_of(mask: Bools, *, least_ml: float = SMALLEST_ML, corners: bool = False) -> list[Index]:
    """Return the flat indices of each connected part of a mask; parts touch at faces, with `corners` there too."""
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), corners)
    numbered = sitk.GetArrayViewFromImage(components).ravel()
    found = np.flatnonzero(numbered)
    order = found[np.argsort(numbered[found], kind="stable")]
    parts = np.split(order, np.cumsum(np.bincount(numbered)[1:])[:-1])
    return [part for part in parts if len(part) * _VOXEL_ML >= least_ml]


def _points(body: Body, shape: tuple[int, ...]) -> Points:
    return np.stack(np.unravel_index(body.voxels, shape), axis=1).astype(np.float64) * EDGE_MM


def _upwards(bodies: Sequence[Body], shape: tuple[int, ...]) -> list[Body]:
    order = np.argsort(centres(bodies, shape)[:, 0])
    return [bodies[i] for i in order]


def _whole(bodies: Sequence[Body]) -> list[Body]:
    """Return the bodies that are not fragments."""
    sizes = np.sort([len(body.voxels) for body in bodies])
    # Half of all voxels are in bodies of at least this size, however many fragments there are.
    typical = sizes[np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)] if len(sizes) else 0
    return [body for body in bodies if len(body.voxels) >= 0.4 * typical]


def _directions(bodies: Sequence[Body], shape: tuple[int, ...]) -> Points:
    """Return the direction of the spine at each body, a unit vector upwards."""
    pieces = []
    for points in (_points(body, shape) for body in bodies):
        chunk = ((points[:, 0] - points[:, 0].min()) // _USUAL_SPACING_MM).astype(int)
        pieces += [(points[chunk == i].mean(axis=0), np.sum(chunk == i)) for i in range(chunk.max() + 1)]
    places, sizes = np.array([place for place, _ in pieces]), np.array([size for _, size in pieces])
    along = np.zeros((len(bodies), 3))
    along[:, 0] = 1
    for way, z in zip(along, centres(bodies, shape)[:, 0], strict=True):
        near = np.abs(places[:, 0] - z) <= max(_REACH_MM, np.sort(np.abs(places[:, 0] - z))[:2].max())
        weights = sizes[near] / sizes[near].sum()
        apart = places[near] - weights @ places[near]
        spread = weights @ apart[:, 0] ** 2
        # Pieces of one body lie beside each other too.
        if spread > (_USUAL_SPACING_MM / 4) ** 2:
            way[1:] = (weights * apart[:, 0]) @ apart[:, 1:] / spread
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return along


def _chain(bodies: Sequence[Body], shape: tuple[int, ...]) -> list[Body]:
    """Leave out what lies beside the spine, seen from the largest body up and down."""
    if not bodies:
        return []
    points, first = centres(bodies, shape), int(np.argmax([len(body.voxels) for body in bodies]))
    kept = [first]
    for indices in (range(first + 1, len(bodies)), range(first - 1, -1, -1)):
        last = first
        for index in indices:
            up, *aside = points[index] - points[last]
            if np.hypot(*aside) <= 25 + abs(up):
                kept.append(index)
                last = index
    return [bodies[i] for i in kept]


def _cut(bodies: Sequence[Body], shape: tuple[int, ...]) -> list[Body]:
    """Cut bodies that have run together."""
    along = [_points(body, shape) @ way for body, way in zip(bodies, _directions(bodies, shape), strict=True)]
    profiles = [profile(places) for places in along]
    sizes = [len(body.voxels) if may_be_one(areas) else 0 for body, areas in zip(bodies, profiles, strict=True)]
    beside = [max(pair) for pair in zip([0, *sizes], [*sizes[1:], 0], strict=False)]
    heights = {
        float(i): len(profiles[i]) * EDGE_MM
        for i, (size, other) in enumerate(zip(sizes, beside, strict=True))
        if size and size >= _FRAGMENT * other
    }
    apart = _apart_mm(bodies, shape)
    pitches = {i + 0.5: float(gap) for i, gap in enumerate(apart) if i in heights and i + 1 in heights}
    result: list[Body] = []
    for index, (body, places, areas) in enumerate(zip(bodies, along, profiles, strict=True)):
        near, pairs = _nearest(heights, index)[:4], _nearest(pitches, index)[:3]
        neighbours = Neighbours(float(np.median(near)), float(np.median(pairs))) if len(near) >= 2 and pairs else None
        borders, sure = cut(areas, neighbours)
        piece = np.searchsorted(borders, (places - places.min()) / EDGE_MM)
        result += [Body(body.voxels[piece == i], body.sure and sure) for i in range(len(borders) + 1)]
    return [body for body in result if len(body.voxels)]


def _nearest(values: Mapping[float, float], place: float) -> list[float]:
    """Values at other places, those nearest first."""
    return [values[i] for i in sorted(values, key=lambda i: abs(i - place)) if i != place]


def _join(bodies: Sequence[Body], shape: tuple[int, ...]) -> list[Body]:
    """Join the pieces of one body."""
    nearest = spacing_mm(bodies, shape) / 2
    result, index = list(bodies), 1
    ways = _directions(result, shape)
    while index < len(result):
        pair = result[index - 1 : index + 1]
        way = ways[index - 1 : index + 1].mean(axis=0)
        joined = Body(np.concatenate([piece.voxels for piece in pair]), all(piece.sure for piece in pair))
        near = float((centres(pair, shape) @ way) @ [-1, 1]) < nearest
        if near and may_be_one(profile(_points(joined, shape) @ way)):
            result[index - 1 : index + 1] = [joined]
            ways, index = _directions(result, shape), max(1, index - 1)
        else:
            index += 1
    return result


def _between(bodies: Sequence[Body], vertebrae: Bools) -> list[Body]:
    """Return seeds for the bodies that are missing between two."""
    points = centres(bodies, vertebrae.shape)
    seeds = []
    for index, ratio in enumerate(_steps(bodies, vertebrae.shape)):
        missing = round(ratio) - 1 if ratio > _GAP else 0
        for number in range(1, missing + 1):
            middle = points[index - 1] + (points[index] - points[index - 1]) * number / (missing + 1)
            lower = np.maximum(np.floor(middle / EDGE_MM).astype(int) - 2, 0)
            box = tuple(slice(start, start + 5) for start in lower)
            inside = np.zeros_like(vertebrae)
            inside[box] = vertebrae[box]
            seed = np.flatnonzero(inside)
            if len(seed) * _VOXEL_ML >= SMALLEST_ML:
                sure = _is_one_missing(ratio) and bodies[index - 1].sure and bodies[index].sure
                seeds.append(Body(seed, sure))
    return seeds
