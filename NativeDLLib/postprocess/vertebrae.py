"""Telling vertebrae apart and naming their levels, in the classes that a network gave each voxel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools, Index
from NativeDLLib.postprocess.state import State
from NativeDLLib.postprocess.vertebra_bodies import Body, centres, find_bodies, missing_below, parts_of, spacing_mm
from NativeDLLib.postprocess.vertebra_cores import EDGE_MM
from NativeDLLib.postprocess.vertebra_levels import Evidence, levels_of

_OUTSIDE = 255  # of the image
_MARGIN_MM = 40.0  # beyond the vertebrae: the upper sacrum and the heads of the ribs
_REACH_VOXELS = 5
# Behind the canal: in a few slices nothing joins the arch to its body.
_REACH_OF_ARCH_VOXELS = 10
_SACRUM_ML, _RIB_ML, _PART_ML = 10.0, 0.5, 2.0
_VOXEL_ML = EDGE_MM**3 / 1000
_FAR = 10_000
_UP = 3  # found best on one CT and on phantoms


@dataclass(frozen=True)
class Vertebrae:
    """The vertebrae of an image, counted from its top."""

    labels: Array  # (z, y, x): each vertebra's place, 0 for none
    levels: tuple[str | None, ...]  # ``C1`` to ``L5``, in that order; None where one is not certain
    known_from: Literal["sacrum", "ribs"] | None  # structure that the levels are counted from
    sure: tuple[bool, ...]  # whether each is certainly one vertebra
    notes: tuple[str, ...]  # warnings for the user


def number_vertebrae(classes: sitk.Image, roles: Mapping[str, int]) -> Vertebrae:
    """Tell vertebrae apart, body and posterior elements together, and name their levels. `classes` is the network's
    label map on any grid; `roles` has the class of ``vertebra`` (all but the core), ``core``, ``sacrum`` and ``rib``.
    """
    values = sitk.GetArrayViewFromImage(classes)
    where = voxels_of(values, roles)
    labels = np.zeros(values.shape, np.uint16)
    if not len(where):
        return Vertebrae(labels, (), None, (), ())
    indices = np.stack(np.unravel_index(where, values.shape), axis=1)[:, ::-1]
    grid = _grid_around(classes, indices)
    given = sitk.GetArrayViewFromImage(grid)
    masks = {name: given == number for name, number in roles.items()}
    vertebrae = masks["vertebra"] | masks["core"]
    bodies = find_bodies(masks["core"], vertebrae)
    if not bodies:
        return Vertebrae(labels, (), None, (), ("no vertebral body is in the image",))
    numbers, bodies = _spread_over(bodies, vertebrae, masks["sacrum"])
    everywhere = np.ones_like(vertebrae)
    near = _spread(numbers, everywhere, _REACH_VOXELS)
    named = levels_of(_evidence(bodies, near, masks, given == _OUTSIDE))
    from_top = np.concatenate([[0], np.arange(len(bodies), 0, -1)]).astype(np.uint16)
    joined = _spread(numbers, everywhere, _REACH_OF_ARCH_VOXELS) * vertebrae
    whole = _spread(_spread(joined, vertebrae, _FAR), everywhere, _REACH_VOXELS)
    labels.reshape(-1)[where] = from_top[whole[_in_grid(classes, grid, indices)]]
    sure = tuple(body.sure for body in reversed(bodies))
    return Vertebrae(labels, tuple(reversed(named.levels)), named.known_from, sure, named.notes)


def voxels_of(classes: Array, roles: Mapping[str, int]) -> Index:
    """Return the flat indices of the voxels of vertebrae, found plane by plane: a mask of all would take too much."""
    found = [np.flatnonzero((plane == roles["vertebra"]) | (plane == roles["core"])) for plane in classes]
    return np.concatenate([where + index * classes[0].size for index, where in enumerate(found)])


def _grid_around(classes: sitk.Image, indices: Index) -> sitk.Image:
    """Return the classes around some voxels (x, y, z) in voxels of 3 mm along the patient's axes."""
    low, high = indices.min(axis=0), indices.max(axis=0)
    corners = [np.where(choice, high, low) for choice in np.ndindex(2, 2, 2)]
    places = np.array([classes.TransformIndexToPhysicalPoint([int(i) for i in corner]) for corner in corners])
    first = places.min(axis=0) - _MARGIN_MM
    size = np.ceil((places.max(axis=0) + _MARGIN_MM - first) / EDGE_MM).astype(int) + 1
    identity = tuple(np.eye(3).ravel())
    nearest = sitk.sitkNearestNeighbor
    return sitk.Resample(
        classes, size.tolist(), sitk.Transform(), nearest, first.tolist(), (EDGE_MM,) * 3, identity, _OUTSIDE
    )


def _in_grid(image: sitk.Image, grid: sitk.Image, indices: Index) -> tuple[Index, ...]:
    """Return where voxels (x, y, z) of the image are in the array of the grid."""
    direction = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    offset = np.array(image.GetOrigin()) - grid.GetOrigin()
    places = np.rint((indices @ direction.T.astype(np.float32) + offset.astype(np.float32)) / EDGE_MM).astype(np.intp)
    return places[:, 2], places[:, 1], places[:, 0]


def _spread_over(bodies: list[Body], vertebrae: Bools, sacrum: Bools) -> tuple[Array, list[Body]]:
    """Return the number, from the bottom up, of the vertebra that each voxel belongs to, and the bodies."""
    numbers = _spread_from(bodies, vertebrae)
    # A sliver is a piece of the vertebra beside it: bridged by bone, their cores run together.
    large = np.bincount(numbers.ravel(), minlength=len(bodies) + 1)[1:] * _VOXEL_ML >= _PART_ML
    if large.any() and not large.all():
        bodies = [body for body, is_large in zip(bodies, large, strict=True) if is_large]
        numbers = _spread_from(bodies, vertebrae)
    below, above = _without_core(bodies, vertebrae & (numbers == 0), sacrum)
    if below is not None:
        bodies = [Body(below, sure=False), *bodies]
        numbers[numbers > 0] += 1
        numbers.reshape(-1)[below] = 1
    if above is not None:
        bodies = [*bodies, Body(above, sure=False)]
        numbers.reshape(-1)[above] = len(bodies)
    return numbers, bodies


def _spread_from(bodies: Sequence[Body], vertebrae: Bools) -> Array:
    numbers = np.zeros(vertebrae.shape, np.uint16)
    for number, body in enumerate(bodies, 1):
        numbers.reshape(-1)[body.voxels] = number
    # What is behind a body belongs to it or to the one above: spinous and lower articular processes point downwards.
    return _spread(numbers, vertebrae, _FAR, up=_UP)


def _without_core(bodies: list[Body], rest: Bools, sacrum: Bools) -> tuple[Index | None, Index | None]:
    """Rest of a vertebra below the others and of one above them, whose cores are out of the image."""
    points, apart = centres(bodies, rest.shape), spacing_mm(bodies, rest.shape)
    found: list[list[Index]] = [[], []]
    for part in parts_of(rest, least_ml=_PART_ML, corners=True):
        z = float(np.mean(part // rest[0].size)) * EDGE_MM
        if z > points[-1, 0] + apart / 2:
            found[1].append(part)
        elif z < points[0, 0] - apart / 2 and not sacrum.any():
            found[0].append(part)
    below, above = (np.concatenate(parts) if parts else None for parts in found)
    return below, above


def _spread(seeds: Array, allowed: Bools, reach: int, up: int = 1) -> Array:
    """Numbers grown by `reach` voxels into the allowed voxels, nearest first; one step upwards counts `up` voxels."""
    result = seeds.copy()
    numbers, free = result.reshape(-1), (allowed & (seeds == 0)).reshape(-1)
    plane, row = seeds[0].size, seeds.shape[2]
    steps = [(plane, up), (-plane, 1), (row, 1), (-row, 1), (1, 1), (-1, 1)]
    rings = [np.flatnonzero(numbers)]
    while len(rings) <= reach and any(len(ring) for ring in rings[-up:]):
        reached = []
        for step, cost in steps:
            if cost <= len(rings):
                targets = rings[-cost] + step
                new = free[targets]
                numbers[targets[new]] = numbers[rings[-cost][new]]
                free[targets[new]] = False
                reached.append(targets[new])
        rings.append(np.concatenate(reached))
    return result


def _evidence(bodies: list[Body], near: Array, masks: Mapping[str, Bools], outside: Bools) -> Evidence:
    shape = near.shape
    points, apart = centres(bodies, shape), spacing_mm(bodies, shape)
    sacrum = np.flatnonzero(masks["sacrum"].any(axis=(1, 2))) * EDGE_MM
    heights = np.flatnonzero(masks["sacrum"]) // near[0].size * EDGE_MM
    below = len(heights) * _VOXEL_ML > _SACRUM_ML and float(heights.mean()) < points[0, 0]
    gap = float(bodies[0].voxels.min() // near[0].size) * EDGE_MM - float(sacrum.max()) if below else np.inf
    ribs = np.bincount(near[masks["rib"]], minlength=len(bodies) + 1)[1:] * _VOXEL_ML >= _RIB_ML
    cores = near * masks["core"]
    whole = set(np.unique(cores)) - set(np.unique(_spread(cores, outside, 1)[outside]))
    return Evidence(
        sacrum=gap < 1.5 * apart,
        ribs=tuple(bool(has) for has in ribs),
        complete=tuple(number in whole for number in range(1, len(bodies) + 1)),
        sure=tuple(body.sure for body in bodies),
        missing_below=tuple(missing_below(bodies, shape)),
    )


def vertebra_levels(
    state: State, *, classes: Mapping[str, int], levels: Mapping[str, int], numbered: Sequence[int]
) -> None:
    """Give each vertebra the label of its level (`levels`), or of its number from the top of the image (`numbered`).
    `classes` are those of the network; see `number_vertebrae`.
    """
    image = state.label_map()
    del state.labels  # a volume more would be the most that a run holds
    vertebrae = number_vertebrae(image, classes)
    labels = sitk.GetArrayFromImage(image).astype(np.uint16, copy=False)
    count = int(vertebrae.labels.max())
    names = [levels[level] if level else number for level, number in zip(vertebrae.levels, numbered, strict=False)]
    state.remarks += vertebrae.notes
    if count > len(names):
        state.remarks.append(f"{count} vertebrae were found, the lowest {count - len(names)} of them are left out")
    state.merged = [name for name, sure in zip(names, vertebrae.sure, strict=False) if not sure]
    where = voxels_of(labels, classes)
    table = np.array([0, *names, *[0] * (count - len(names))], np.uint16)
    labels.reshape(-1)[where] = table[vertebrae.labels.reshape(-1)[where]]
    state.labels, state.levels, state.only_found = labels, vertebrae.known_from or "numbered", True
