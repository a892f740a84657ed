"""The phantom's bones: vertebrae with discs and canal, sacrum, hip bones and ribs."""

from collections.abc import Callable
from functools import partial, reduce

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.phantom.body import EVERYWHERE, Body
from NativeDLLib.phantom.canvas import Box, Canvas, Distance, Point, capsule, ellipsoid, intersection, outside, union

VERTEBRAE, SACRUM, HIPS, RIBS, CANAL = 2, 3, 4, 5, 19
LEVELS = {20 + i: f"L{5 - i}" for i in range(5)} | {25 + i: f"T{12 - i}" for i in range(7)}
"""Labels on the canvas that tell the vertebrae apart."""
Bone = Callable[[Array], Array]


def paint_bones(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    """Paint the skeleton of the trunk. Labels as `LEVELS`, and 3 sacrum, 4 hip bones, 5 ribs, 19 spinal canal."""
    cancellous, cortical = float(rng.uniform(110, 300)), float(rng.uniform(420, 800))
    # A shell of 1.6 mm that a voxel samples is wider and dimmer than it is.
    width = float(np.hypot(1.6, 0.4 * canvas.edge))
    peak = (cortical - cancellous) * 1.6 / width

    def bone(d: Array) -> Array:
        return np.float32(cancellous) + np.float32(peak) * np.exp(-((d / np.float32(width)) ** 2))

    pitch = [36 * body.scale] * 5 + [30 * body.scale] + [27 * body.scale] * 6
    heights = np.cumsum(pitch) - np.array(pitch) / 2
    _paint_ribs(canvas, body, bone, float(heights[5]))
    _paint_pelvis(rng, canvas, body, bone)
    for label, z, height in zip(LEVELS, heights, pitch, strict=True):
        _paint_vertebra(rng, canvas, body, bone, float(z), height, label)


def _paint_vertebra(
    rng: np.random.Generator, canvas: Canvas, body: Body, bone: Bone, z: float, height: float, label: int
) -> None:
    thoracic = LEVELS[label].startswith("T")
    s = body.scale * rng.uniform(0.96, 1.04)
    half_width, half_depth = (17 * s, 14.5 * s) if thoracic else (24 * s, 16.5 * s)
    disc = height * rng.uniform(0.14, 0.26)
    x, y = body.spine_at(z)
    place = partial(_placed, centre=(x, y, z), tilt=body.spine_tilt(z))

    core = _vertebral_body(half_width, half_depth, (height - disc) / 2)
    spacer = _vertebral_body(half_width, half_depth, height / 2 + 1)
    box = Box((x - 70, y - 30, z - 50), (x + 70, y + 95, z + 50))
    canvas.paint(place(spacer), box, 85, texture=10)
    canal, _ = ellipsoid((0, half_depth + 8 * s, 0), (11.5 * s, 8.5 * s, 1e4))
    hole = place(lambda x, y, z: np.maximum(canal(x, y, z), np.abs(z) - height))
    canvas.paint(hole, box, 25, texture=8)
    canvas.paint(place(core), box, bone, texture=35, label=label)
    arch = reduce(union, _arch(rng, s, half_width, half_depth, thoracic=thoracic))
    canvas.paint(place(intersection(arch, outside(canal))), box, bone, texture=35, label=label)
    canvas.mark(hole, box, CANAL)


def _vertebral_body(half_width: float, half_depth: float, half_height: float) -> Distance:
    def distance(x: Array, y: Array, z: Array) -> Array:
        waist = 0.9 + 0.1 * np.clip(z / half_height, -1, 1) ** 2
        round_ = (np.sqrt((x / half_width) ** 2 + (y / half_depth) ** 2) - waist) * half_depth
        return np.maximum(np.maximum(round_, np.abs(z) - half_height), y - 0.8 * half_depth)

    return distance


def _arch(rng: np.random.Generator, s: float, w: float, d: float, *, thoracic: bool) -> list[Distance]:
    """Give the parts behind the vertebral body: pedicles, laminae, spinous, transverse and articular processes."""
    reach, droop = rng.uniform(0.85, 1.15), -26 if thoracic else -8
    tip = (0.0, d + (44 + 6 * rng.random()) * s, droop * s)
    rods: list[tuple[Point, Point, float, float]] = [((0, d + 20 * s, -4 * s), tip, 4.2 * s, 3.6 * s)]
    across, back, up = (31, 24, 5) if thoracic else (41 * reach, 13, 3)
    for side in (-1, 1):
        rods += [
            ((side * 0.62 * w, 0.5 * d, 5 * s), (side * 15.5 * s, d + 10 * s, 4 * s), 5.2 * s, 5.2 * s),
            ((side * 15 * s, d + 13 * s, 0), (0, d + 21 * s, -5 * s), 4 * s, 4 * s),
            ((side * 16 * s, d + 10 * s, 2 * s), (side * across * s, d + back * s, up * s), 4.6 * s, 3.4 * s),
            ((side * 16 * s, d + 13 * s, 2 * s), (side * 17.5 * s, d + 10 * s, 16 * s), 4.6 * s, 4.2 * s),
            ((side * 15 * s, d + 14 * s, 0), (side * 14 * s, d + 16 * s, -16 * s), 4.6 * s, 4.6 * s),
        ]
    return [capsule(*rod)[0] for rod in rods]


def _placed(distance: Distance, *, centre: tuple[float, float, float], tilt: float) -> Distance:
    """Put a shape in a vertebra's own axes at its middle (mm), tilted in the sagittal plane (radians)."""
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))

    def placed(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
        return distance(dx, cos * dy - sin * dz, sin * dy + cos * dz)

    return placed


def _paint_pelvis(rng: np.random.Generator, canvas: Canvas, body: Body, bone: Bone) -> None:
    s = body.scale
    x, y = body.spine_at(0)
    steps = [(0, -15, 52), (16, -38, 46), (30, -62, 36), (36, -86, 26), (30, -106, 12)]  # back, up and half width in mm
    rows = enumerate(steps)
    parts = [ellipsoid((x, y + b * s, u * s), (w * s, (17 - i * 2) * s, 17 * s))[0] for i, (b, u, w) in rows]
    sacrum = reduce(lambda a, b: union(a, b, 8), parts)
    hole, _ = capsule((x, y + 22 * s, 10), (x, y + 42 * s, -70 * s), 8 * s, 4 * s)
    box = Box((-75 * s + x, y - 30, -135 * s), (75 * s + x, y + 75, 10))
    canvas.paint(lambda x, y, z: np.maximum(sacrum(x, y, z), -hole(x, y, z)), box, bone, texture=35, label=SACRUM)

    spread = rng.uniform(0.92, 1.05) * s
    bowl, _ = ellipsoid((0, y - 45 * s, -30 * s), (122 * spread, 92 * s, 140 * s))

    def wings(x: Array, y_: Array, z: Array) -> Array:
        plate = np.abs(bowl(x, y_, z)) - np.float32(4.5)
        front = np.float32(y - 58 * s) - y_ - np.float32(0.25) * z
        edges = np.maximum(np.maximum(np.float32(48 * s) - np.abs(x), z - np.float32(48 * s)), -z - np.float32(120 * s))
        return np.maximum(np.maximum(plate, edges), front)

    box = Box((-140 * s, y - 120 * s, -120 * s), (140 * s, y + 60 * s, 50 * s))
    canvas.paint(wings, box, bone, texture=35, label=HIPS, only=(0,))


def _paint_ribs(canvas: Canvas, body: Body, bone: Bone, lowest: float) -> None:
    pitch = np.float32(27 * body.scale)
    depth = np.float32(body.fat + 0.5 * body.wall)
    lengths = np.array([0.36, 0.5, 0.62, 0.68, 0.72, 0.75], np.float32) * np.float32(np.pi)
    spine_y = np.float32(body.spine_at(lowest)[1])

    def ribs(x: Array, y: Array, z: Array) -> Array:
        around = np.arctan2(np.abs(x), y)
        above = (z - np.float32(lowest) + np.float32(85 * body.scale) * (around / np.float32(np.pi)) ** 1.2) / pitch
        level = np.clip(np.rint(above), 0, len(lengths) - 1)
        dz = (above - level) * pitch
        thin = (body.skin(x, y, z) + depth) / np.float32(4)
        rod = (np.sqrt((dz / np.float32(6.5)) ** 2 + thin**2) - 1) * np.float32(4)
        beyond = (around - lengths[level.astype(np.int64)]) * np.float32(80)
        return np.asarray(np.maximum(np.maximum(rod, beyond), np.float32(58 * body.scale) - np.abs(x)))

    box = Box((EVERYWHERE.low[0], EVERYWHERE.low[1], lowest - 75 * body.scale), EVERYWHERE.high)
    canvas.paint(ribs, box, bone, texture=30, label=RIBS)
    for level in range(6):
        z = lowest + level * float(pitch)
        x, y = body.spine_at(z)
        for side in (-1, 1):
            wall = body.half_depth * 0.88 - body.fat - 0.5 * body.wall
            start = (x + side * 24 * body.scale, y + 18 * body.scale, z + 6)
            neck, box = capsule(start, (side * 60 * body.scale, max(wall, float(spine_y)), z - 8), 4.5, 4.5)
            canvas.paint(neck, box, bone, texture=30, label=RIBS)
