"""The phantom's organs: bowel, stomach, spleen, kidneys, liver, gallbladder, pancreas and the great vessels."""

from itertools import pairwise
from typing import Any

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.phantom.body import Body
from NativeDLLib.phantom.canvas import Box, Canvas, Distance, capsule, ellipsoid, intersection, outside, union, wobble

LIVER, SPLEEN, KIDNEYS = 1, 6, 7


def paint_organs(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    """Paint the abdominal organs. Labels: 1 liver, 6 spleen, 7 kidneys."""
    _paint_bowel(rng, canvas, body)
    _paint_left_side(rng, canvas, body)
    _paint_kidneys(rng, canvas, body)
    _paint_liver(rng, canvas, body)
    _paint_vessels(rng, canvas, body)


def _abdominal(distance: Distance, body: Body) -> Distance:
    """Keep a shape a little inside the abdominal wall and below the diaphragm."""
    return intersection(distance, intersection(body.cavity, body.diaphragm), 2.5)


def _paint_hollow(
    rng: np.random.Generator, canvas: Canvas, body: Body, shape: Distance, box: Box, *, gas: float, stool: float
) -> None:
    """Paint a hollow organ: wall, contents and, towards the front where it rises to, gas for a share of its depth."""
    shape = _abdominal(shape, body)
    canvas.paint(shape, box, float(rng.uniform(25, 60)) + 30 * body.contrast, texture=10)
    contents = float(rng.choice([rng.uniform(0, 40), rng.uniform(-60, 20), rng.uniform(100, 350)], p=[0.6, 0.3, 0.1]))
    inside = _shrunk(shape, 2.5)
    canvas.paint(inside, box, contents, texture=stool)
    if gas > 0:
        level = np.float32(box.low[1] + gas * (box.high[1] - box.low[1]))
        canvas.paint(lambda x, y, z: np.maximum(inside(x, y, z), y - level), box, -960, texture=6)


def _paint_tube(
    rng: np.random.Generator, canvas: Canvas, body: Body, points: list[Any], radius: float, gas: float, stool: float
) -> None:
    for start, end in pairwise(points):
        tube, box = capsule(start, end, radius * rng.uniform(0.8, 1.2), radius * rng.uniform(0.8, 1.2))
        filled = gas * rng.uniform(0.3, 1.2) if rng.random() < 0.75 else 0.0
        _paint_hollow(rng, canvas, body, wobble(rng, tube, 2.5, 30), box, gas=filled, stool=stool)


def _paint_bowel(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    s, w = body.scale, body.half_width - body.fat - body.wall
    front = -(body.half_depth - body.fat - body.wall)
    for _ in range(int(rng.integers(20, 36))):
        start = np.array([rng.uniform(-0.65, 0.65) * w, rng.uniform(0.1, 0.9) * front, rng.uniform(-110, 120) * s])
        end = start + rng.uniform(-45, 45, 3) * [1, 0.5, 0.7]
        _paint_tube(rng, canvas, body, [start, end], rng.uniform(9, 17) * s, gas=0.3, stool=12)
    side, top = 0.78 * w, rng.uniform(80, 130) * s
    ascending = [(-side, 8, -50 * s), (-side, 10, 30 * s), (-0.9 * side, -10, top - 15)]
    sagging = (0, 0.8 * front, top - rng.uniform(0, 60))
    across = [(-0.9 * side, 0.5 * front, top), sagging, (0.8 * side, 0.5 * front, top)]
    descending = [(0.95 * side, -5, top + 40), (side, 15, 60 * s), (0.95 * side, 10, -60 * s)]
    for points in (ascending, across, [across[-1], descending[0]], descending):
        _paint_tube(rng, canvas, body, points, rng.uniform(15, 26) * s, gas=0.55, stool=rng.uniform(10, 120))


def _paint_left_side(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    s, w = body.scale, body.half_width - body.fat - body.wall
    jitter = rng.normal(0, 6, (4, 3))
    fundus, a = ellipsoid(np.array([58, -5, 222]) * s + jitter[0], np.array([40, 42, 44]) * s * rng.uniform(0.7, 1.15))
    antrum, b = ellipsoid(np.array([22, -52, 172]) * s + jitter[1], np.array([50, 24, 24]) * s * rng.uniform(0.7, 1.15))
    stomach = wobble(rng, union(fundus, antrum, 25), 4, 60)
    both = Box.around([a.low, a.high, b.low, b.high], 8)
    _paint_hollow(rng, canvas, body, stomach, both, gas=float(rng.uniform(0, 0.5)), stool=rng.uniform(10, 60))

    centre = (0.78 * w + jitter[2][0], 38 * s + jitter[2][1], 205 * s + jitter[2][2])
    spleen, box = ellipsoid(centre, np.array([32, 46, 52]) * s * rng.uniform(0.75, 1.25, 3))
    hu = 48 + 65 * body.contrast
    canvas.paint(_abdominal(wobble(rng, spleen, 3, 70), body), box, hu, texture=6, label=SPLEEN)
    y = body.spine_at(150)[1] - 48 * s
    for start, end in (((-28, y, 130), (15, y - 12, 150)), ((15, y - 12, 150), (75, y + 12, 175))):
        pancreas, box = capsule(np.array(start) * s, np.array(end) * s, 12 * s, 9 * s)
        canvas.paint(_abdominal(wobble(rng, pancreas, 3, 25), body), box, 32 + 60 * body.contrast, texture=18)


def _paint_kidneys(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    s = body.scale
    for side, z in ((-1, 122), (1, 134)):
        height = z * s + rng.normal(0, 8)
        x, y = body.spine_at(height)
        centre = np.array([x + side * 66 * s, y + 2, height])
        kidney, box = ellipsoid(centre, np.array([27, 26, 53]) * s * rng.uniform(0.85, 1.1))
        pelvis, _ = ellipsoid(centre - [side * 22 * s, 6 * s, 0], np.array([19, 11, 20]) * s)
        shape = _abdominal(intersection(wobble(rng, kidney, 2, 50), outside(pelvis)), body)
        cortex, medulla = 32 + 140 * body.contrast, 30 + 90 * body.contrast
        canvas.paint(shape, box, cortex, texture=8, label=KIDNEYS)
        canvas.paint(_shrunk(shape, 9), box, medulla, texture=15)


def _paint_liver(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    s, w = body.scale, body.half_width - body.fat - body.wall
    front = -(body.half_depth - body.fat - body.wall)
    right_centre = np.array([-0.56 * w, 0, 190 * s]) + rng.normal(0, 5, 3)
    right, _ = ellipsoid(right_centre, np.array([0.62 * w, 88 * s, rng.uniform(88, 112) * s]))
    left_centre = np.array([rng.uniform(0, 35) * s, 0.5 * front, 216 * s]) + rng.normal(0, 5, 3)
    left, _ = ellipsoid(left_centre, np.array([rng.uniform(55, 85), rng.uniform(34, 50), rng.uniform(32, 48)]) * s)
    underside = _plane(np.array([rng.uniform(0.35, 0.7), rng.uniform(0.1, 0.5), -0.75]), np.array([-30, 15, 158]) * s)
    fissure, _ = capsule((-12 * s, front, 130 * s), (-5 * s, 0.2 * front, 175 * s), 6 * s, 2 * s)
    near_spine, _ = capsule((*body.spine_at(100), 100), (*body.spine_at(300), 300), 36 * s)
    lobes = wobble(rng, intersection(union(right, left, 35), underside), 4, 80)
    shape = intersection(intersection(lobes, outside(fissure)), outside(near_spine))
    shape = _abdominal(shape, body)
    parenchyma = float(rng.normal(56, 7)) + 55 * body.contrast - (25 if rng.random() < 0.15 else 0)
    box = Box((-1.3 * w, 1.3 * front, 60 * s), (120 * s, -1.3 * front, 300 * s))
    canvas.paint(shape, box, parenchyma, texture=6, label=LIVER)

    hilum = np.array([-28, 0.25 * front, 185]) * [s, 1, s]
    vessel = 38 + (110 * body.contrast if rng.random() < 0.8 else 20)
    for _ in range(9):
        end = hilum + rng.normal(0, 1, 3) * [55, 40, 40]
        branch, branch_box = capsule(hilum + rng.normal(0, 8, 3), end, rng.uniform(3.5, 6) * s, 1.5)
        canvas.paint(intersection(branch, shape), branch_box, vessel)
    for _ in range(int(rng.choice([0, 1, 3], p=[0.6, 0.2, 0.2]))):
        spot, spot_box = ellipsoid(right_centre + rng.normal(0, 30, 3), rng.uniform(5, 16, 3))
        canvas.paint(intersection(spot, shape), spot_box, parenchyma + float(rng.uniform(-60, 10)), texture=6)
    bladder = np.array([17, 18, 26]) * s * rng.uniform(0.5, 1.1)
    gall, gall_box = ellipsoid(np.array([-45, 0.45 * front / s, 128]) * s, bladder)
    canvas.paint(_abdominal(gall, body), gall_box, float(rng.uniform(0, 20)), texture=4, label=0, only=(0, LIVER))


def _shrunk(distance: Distance, by: float) -> Distance:
    return lambda x, y, z: distance(x, y, z) + np.float32(by)


def _plane(normal: Array, point: Array) -> Distance:
    n = np.asarray(normal, np.float32) / np.float32(np.linalg.norm(normal))
    p = np.asarray(point, np.float32)

    def distance(x: Array, y: Array, z: Array) -> Array:
        return np.asarray(n[0] * (x - p[0]) + n[1] * (y - p[1]) + n[2] * (z - p[2]))

    return distance


def _paint_vessels(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    s = body.scale
    aorta, cava = 42 + 220 * body.arterial, 40 + 110 * body.contrast
    calcified = rng.random() < 0.3
    for low in range(15, 390, 40):
        (x0, y0), (x1, y1) = body.spine_at(low), body.spine_at(low + 40)
        ends = (x0 + 8 * s, y0 - 29 * s, low), (x1 + 8 * s, y1 - 29 * s, low + 40)
        vessel, box = capsule(*ends, rng.uniform(8.5, 12) * s)
        canvas.paint(vessel, box, aorta, texture=5, label=0)
        if calcified:
            plaque, box = ellipsoid(np.add(ends[0], (7 * s, 5 * s, rng.uniform(0, 30))), (2, 4, 6))
            canvas.paint(plaque, box, 600)
        if low < 270:
            ends = (x0 - 20 * s, y0 - 27 * s, low), (x1 - 22 * s, y1 - 30 * s, low + 40)
            vessel, box = capsule(*ends, rng.uniform(8, 12) * s)
            canvas.paint(vessel, box, cava, texture=5, label=0)
    x, y = body.spine_at(15)
    for side in (-1, 1):
        for hu, start, back in ((aorta, 8, -29), (cava, -18, -26)):
            iliac, box = capsule((x + start * s, y + back * s, 18), (side * 55 * s, y + 5, -90), 7 * s, 5 * s)
            canvas.paint(iliac, box, hu, texture=5, label=0)
