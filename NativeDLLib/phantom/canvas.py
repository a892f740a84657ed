"""A voxel grid to paint implicit shapes on: every shape is a signed distance in mm, negative inside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from NativeDLLib.core.arrays import Array

Point = Sequence[float] | Array
Distance = Callable[[Array, Array, Array], Array]
"""Maps x, y and z (mm, shapes that broadcast to (z, y, x)) to the signed distance from a surface in mm."""


_BLOCK_VOXELS = 150_000  # what stays in a processor's cache


@dataclass(frozen=True)
class Box:
    """Bounds of a shape in the phantom's space, mm: x to the left, y to the back, z to the head."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @classmethod
    def around(cls, points: Sequence[Point], margin: float) -> "Box":
        """Bound points (x, y, z) with a margin, all in mm."""
        array = np.asarray(points, dtype=float)
        low, high = array.min(axis=0) - margin, array.max(axis=0) + margin
        return cls((low[0], low[1], low[2]), (high[0], high[1], high[2]))


class Canvas:
    """Hounsfield units and labels on a grid, painted shape after shape. `x`, `y`, `z` are the rising coordinates of the
    voxel centres in mm; `texture` is smooth noise of unit variance (z, y, x), repeated where the grid is larger.
    """

    def __init__(self, x: Array, y: Array, z: Array, texture: Array) -> None:
        self.x, self.y, self.z = x, y, z
        shape = (len(z), len(y), len(x))
        self.hu = np.full(shape, -1000, dtype=np.float32)
        self.labels = np.zeros(shape, dtype=np.uint8)
        self._texture = texture
        self.edge = float(np.hypot(x[1] - x[0], 0.6))  # the width over which a voxel and the focal spot mix two tissues

    def paint(
        self,
        distance: Distance,
        box: Box,
        hu: float | Callable[[Array], Array],
        *,
        texture: float = 0.0,
        label: int | None = None,
        only: tuple[int, ...] | None = None,
    ) -> None:
        """Mix a tissue into the voxels that a shape inside `box` covers. `hu` is in Hounsfield units, or a function of
        the distance; `texture` is the standard deviation of its mottle in HU. With `label` the voxels get it, with
        `only` no others than those with these labels are painted.
        """
        where = self._region(box)
        if where is None:
            return
        area = (where[1].stop - where[1].start) * (where[2].stop - where[2].start)
        step = max(1, _BLOCK_VOXELS // area)
        for start in range(where[0].start, where[0].stop, step):
            part = slice(start, min(start + step, where[0].stop)), where[1], where[2]
            d = distance(*self._coordinates(part)).astype(np.float32, copy=False)
            weight = np.clip(0.5 - d / self.edge, 0, 1)
            if not weight.any():
                continue
            labels = self.labels[part]
            if only is not None:
                weight *= np.isin(labels, only)
            value = hu(d) if callable(hu) else np.float32(hu)
            if texture:
                index = [np.arange(s.start, s.stop) % n for s, n in zip(part, self._texture.shape, strict=True)]
                value = value + np.float32(texture) * self._texture[np.ix_(*index)]
            block = self.hu[part]
            block += weight * (value - block)
            if label is not None:
                labels[weight > 0.5] = label

    def mark(self, distance: Distance, box: Box, label: int) -> None:
        """Give the unlabelled voxels of a shape a label, and leave the image as it is."""
        where = self._region(box)
        if where is not None:
            labels = self.labels[where]
            labels[(distance(*self._coordinates(where)) < 0) & (labels == 0)] = label

    def _coordinates(self, where: tuple[slice, slice, slice]) -> tuple[Array, Array, Array]:
        return self.x[None, None, where[2]], self.y[None, where[1], None], self.z[where[0], None, None]

    def _region(self, box: Box) -> tuple[slice, slice, slice] | None:
        slices = []
        for axis, coordinates in zip((2, 1, 0), (self.z, self.y, self.x), strict=True):
            start = int(np.searchsorted(coordinates, box.low[axis]))
            stop = int(np.searchsorted(coordinates, box.high[axis], side="right"))
            if start >= stop:
                return None
            slices.append(slice(start, stop))
        return slices[0], slices[1], slices[2]


def ellipsoid(centre: Point, radii: Point) -> tuple[Distance, Box]:
    """Give an axis-parallel ellipsoid from its centre and half axes (x, y, z) in mm."""
    (cx, cy, cz), (rx, ry, rz) = _floats(centre), _floats(radii)
    scale = np.float32(min(radii))

    def distance(x: Array, y: Array, z: Array) -> Array:
        q = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2
        return (np.sqrt(q) - 1) * scale

    return distance, Box.around([np.subtract(centre, radii), np.add(centre, radii)], 3)


def capsule(start: Point, end: Point, radius: float, end_radius: float | None = None) -> tuple[Distance, Box]:
    """Give a rod with round ends between two points (x, y, z) in mm; its radius may change along the way."""
    (ax, ay, az), (bx, by, bz) = _floats(start), _floats(end)
    ux, uy, uz = bx - ax, by - ay, bz - az
    length2 = max(float(ux * ux + uy * uy + uz * uz), 1e-6)
    widening = (radius if end_radius is None else end_radius) - radius

    def distance(x: Array, y: Array, z: Array) -> Array:
        px, py, pz = x - ax, y - ay, z - az
        t = np.clip((px * ux + py * uy + pz * uz) / length2, 0, 1)
        away = np.sqrt((px - t * ux) ** 2 + (py - t * uy) ** 2 + (pz - t * uz) ** 2)
        return np.asarray(away - (radius + widening * t))

    return distance, Box.around([start, end], max(radius, radius + widening) + 3)


def wobble(rng: np.random.Generator, distance: Distance, amplitude: float, wavelength: float) -> Distance:
    """Dent a surface by random waves of an amplitude and wavelength in mm, as organs are dented by their neighbours."""
    waves = [(rng.uniform(0.7, 1.4, 3) * 2 * np.pi / wavelength, rng.uniform(0, 2 * np.pi, 3)) for _ in range(2)]

    def dented(x: Array, y: Array, z: Array) -> Array:
        d = distance(x, y, z)
        for k, p in waves:
            k, p = k.astype(np.float32), p.astype(np.float32)
            d = d + np.float32(amplitude) * np.sin(k[0] * x + p[0]) * np.sin(k[1] * y + p[1]) * np.sin(k[2] * z + p[2])
        return d

    return dented


def union(first: Distance, second: Distance, blend: float = 0.0) -> Distance:
    """Join two shapes; `blend` is the width in mm over which their surfaces flow into one another."""

    def distance(x: Array, y: Array, z: Array) -> Array:
        a, b = first(x, y, z), second(x, y, z)
        if not blend:
            return np.minimum(a, b)
        h = np.clip(blend - np.abs(a - b), 0, None)
        return np.asarray(np.minimum(a, b) - h * h / np.float32(4 * blend))

    return distance


def intersection(first: Distance, second: Distance, inset: float = 0.0) -> Distance:
    """Keep what lies in both shapes, in the second at least `inset` mm below its surface."""
    return lambda x, y, z: np.maximum(first(x, y, z), second(x, y, z) + np.float32(inset))


def outside(distance: Distance, gap: float = 0.0) -> Distance:
    """Turn a shape inside out, keeping `gap` mm away from it."""
    return lambda x, y, z: np.float32(gap) - distance(x, y, z)


def _floats(point: Point) -> tuple[float, float, float]:
    # NumPy's own scalars would turn every float32 array they meet into float64.
    x, y, z = (float(value) for value in point)
    return x, y, z
