"""Trunk of the phantom: proportions, walls and contrast phase.

The phantom's space is the patient's, in mm: x to the left, y to the back, z to the head. Its origin is in the middle of
the trunk at the height of the disc between L5 and S1.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.phantom.canvas import Box, Canvas, capsule, ellipsoid, intersection, outside, wobble

FAT, MUSCLE = -100.0, 55.0
EVERYWHERE = Box((-1e4, -1e4, -1e4), (1e4, 1e4, 1e4))


@dataclass(frozen=True)
class Body:
    """One random trunk, lengths in mm."""

    half_width: float  # half axes of the skin
    half_depth: float
    fat: float  # thickness of the fat below the skin
    wall: float  # thickness of the muscle below the fat
    scale: float  # size of skeleton and organs relative to an average adult
    contrast: float  # contrast medium in veins and organs, 0 (native) to 1 (portal venous phase)
    arterial: float  # contrast medium in the arteries
    scoliosis: float  # swing of the spine to the side
    lordosis: float  # bend of the spine's ends back from its most anterior vertebra, in mm per (100 mm)²

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Body":
        """Draw a trunk."""
        fat = float(rng.uniform(6, 30))
        scale = float(rng.uniform(0.9, 1.1))
        contrast = float(rng.choice([0.0, rng.uniform(0.3, 1.0)], p=[0.35, 0.65]))
        half_width, half_depth = scale * rng.uniform(128, 148) + fat, scale * rng.uniform(86, 102) + fat
        wall, arterial = float(rng.uniform(9, 16)), contrast * float(rng.uniform(0.6, 2.2))
        scoliosis, lordosis = float(rng.normal(0, 4)), float(rng.uniform(4, 13))
        return cls(half_width, half_depth, fat, wall, scale, contrast, arterial, scoliosis, lordosis)

    def spine_at(self, z: float) -> tuple[float, float]:
        """Give x and y (mm) of the vertebral bodies' middle at height z (mm)."""
        x = self.scoliosis * np.sin(z / 90)
        y = self.half_depth - self.fat - 66 * self.scale + self.lordosis * (((z - 100) / 100) ** 2 - 1)
        return float(x), float(y)

    def spine_tilt(self, z: float) -> float:
        """Give the spine's angle in the sagittal plane at height z (mm), in radians."""
        return float(np.arctan2(self.spine_at(z + 5)[1] - self.spine_at(z - 5)[1], 10))

    def skin(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance from the skin in mm, measured along the radius."""
        waist = 1 + np.float32(0.04) * np.sin(z / 80 + 2)
        u, v = x / (np.float32(self.half_width) * waist), y / (np.float32(self.half_depth) * waist)
        u, v = u * u, v * v
        rho = np.sqrt(np.sqrt(u * u + v * v + np.float32(1.5) * u * v)) + np.float32(1e-4)  # squarer than an ellipse
        return np.asarray((1 - 1 / rho) * np.sqrt(x * x + y * y))

    def cavity(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm from the inner surface of the muscle wall."""
        return self.skin(x, y, z) + np.float32(self.fat + self.wall)

    def diaphragm(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm from the two domes of the diaphragm, negative in the abdomen."""
        s, w, d = self.scale, self.half_width - self.fat, self.half_depth - self.fat
        slope = np.float32(-0.25) * (y + 20)  # the recess behind the liver reaches lower than the one in front
        right = 278 * s - 60 * (((x + 0.5 * w) / (0.5 * w)) ** 2 + ((y + 5) / (0.95 * d)) ** 2)
        left = 264 * s - 60 * (((x - 0.52 * w) / (0.5 * w)) ** 2 + ((y + 5) / (0.95 * d)) ** 2)
        return np.float32(0.6) * (z - np.maximum(np.maximum(right, left) + slope, np.float32(175 * s)))


def paint_trunk(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    """Paint skin, fat, the muscle wall, the fat inside it, the lungs, the heart and the muscles beside the spine."""
    s = body.scale
    canvas.paint(body.skin, EVERYWHERE, FAT, texture=8)
    canvas.paint(lambda x, y, z: body.skin(x, y, z) + np.float32(body.fat), EVERYWHERE, MUSCLE, texture=12)
    canvas.paint(body.cavity, EVERYWHERE, FAT, texture=13)

    lungs = intersection(body.cavity, outside(body.diaphragm))
    above = Box((-1e4, -1e4, 165 * s), (1e4, 1e4, 1e4))
    canvas.paint(lungs, above, float(rng.uniform(-900, -780)), texture=45)
    heart_y, blood = -0.3 * body.half_depth, 40 + 120 * body.contrast
    heart, box = ellipsoid((22 * s, heart_y, 292 * s), (60 * s, 46 * s, 50 * s))
    chest = intersection(heart, outside(body.diaphragm, 2))
    canvas.paint(chest, box, blood, texture=12)
    mediastinum, box = capsule((0, body.spine_at(250)[1] - 10, 190), (0, body.spine_at(350)[1] - 30, 380), 34 * s)
    canvas.paint(intersection(mediastinum, lungs), box, FAT + 40, texture=25)
    _paint_back_muscles(rng, canvas, body)


def _paint_back_muscles(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    s = body.scale
    (x0, y0), (x1, y1) = body.spine_at(60), body.spine_at(380)
    between, box = capsule((x0, y0 + 36 * s, -80), (x1, y1 + 30 * s, 380), 26 * s, 22 * s)
    canvas.paint(intersection(between, body.skin, body.fat), box, MUSCLE - 10, texture=20)
    for side in (-1, 1):
        for low, high in zip(range(-100, 380, 40), range(-60, 420, 40), strict=True):
            (x0, y0), (x1, y1) = body.spine_at(low), body.spine_at(high)
            thick = (21 if low < 160 else 15) * s
            rod, box = capsule((x0 + side * 30 * s, y0 + 43 * s, low), (x1 + side * 30 * s, y1 + 43 * s, high), thick)
            canvas.paint(intersection(rod, body.skin, body.fat), box, MUSCLE + 3, texture=16)
        x, y = body.spine_at(60)
        size = rng.uniform(15, 22) * s
        psoas, box = capsule((x + side * 52 * s, y - 8, -90), (x + side * 30 * s, y + 2, 150 * s), size, size * 0.4)
        canvas.paint(wobble(rng, psoas, 1, 40), box, MUSCLE + 3, texture=12)
        quadratus, box = capsule((x + side * 72 * s, y + 28, 10), (x + side * 50 * s, y + 28, 170 * s), 13 * s, 9 * s)
        canvas.paint(intersection(quadratus, body.skin, body.fat), box, MUSCLE, texture=12)


def paint_surroundings(rng: np.random.Generator, canvas: Canvas, body: Body) -> None:
    """Paint the scanner's table and, now and then, the arms beside the trunk."""
    top = body.half_depth * 1.03 + float(rng.uniform(2, 12))
    sag = float(rng.uniform(1e-4, 9e-4))

    def sheet(x: Array, y: Array, z: Array, *, top: float) -> Array:
        bent = np.abs(y - np.float32(top) + np.float32(sag) * x * x + 0 * z) - np.float32(1.5)
        return np.asarray(np.maximum(bent, np.abs(x) - np.float32(215) + 0 * y + 0 * z))

    for depth, hu in ((0.0, float(rng.uniform(-250, 100))), (35.0, float(rng.uniform(-350, 0)))):
        canvas.paint(partial(sheet, top=top + depth), EVERYWHERE, hu)
    if rng.random() < 0.3:
        for side in (-1, 1):
            x, y = side * (body.half_width + 48), float(rng.uniform(-20, 50))
            for radius, hu in ((42, FAT), (35, MUSCLE), (11, 700.0), (7, 60.0)):
                arm, box = capsule((x, y, -500), (x * 1.05, y, 800), radius)
                canvas.paint(arm, box, hu, texture=8)
