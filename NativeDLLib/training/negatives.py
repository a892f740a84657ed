"""Images that hold neither liver nor vertebra, so that a model learns to find nothing: heads, limbs, test objects."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from NativeDLLib.core.arrays import Array

AIR, FAT, MUSCLE, BRAIN, SPINAL_FLUID = -1000.0, -100.0, 55.0, 36.0, 6.0


def make_negative(seed: int, size: Sequence[int], spacing: Sequence[float]) -> sitk.Image:
    """Image without any of the structures of the bundled models, float32 in Hounsfield units, identity direction. Every
    fourth seed gives a head, limbs, a cylinder with inserts, and one material of any shape, such as water. `size` and
    `spacing` (mm) are (z, y, x).
    """
    rng = np.random.default_rng([seed, 7])
    axes = [((np.arange(n) - (n - 1) / 2) * s).astype(np.float32) for n, s in zip(size, spacing, strict=True)]
    values = np.full(tuple(size), AIR, np.float32)
    paint = (_head, _limbs, _cylinder, _material)[seed % 4]
    paint(rng, values, *np.meshgrid(*axes, indexing="ij", sparse=True))
    noise = ndimage.gaussian_filter(rng.standard_normal(size), 0.7) * rng.uniform(0, 40)
    image = sitk.GetImageFromArray((ndimage.gaussian_filter(values, 0.4) + noise).astype(np.float32))
    image.SetSpacing([float(s) for s in spacing[::-1]])
    image.SetOrigin([float(axis[0]) for axis in axes[::-1]])
    return image


def _head(rng: np.random.Generator, image: Array, z: Array, y: Array, x: Array) -> None:
    rz, ry, rx = rng.uniform(85, 110), rng.uniform(85, 105), rng.uniform(68, 82)
    z0 = rng.uniform(-70, 70)
    irregular = 0.06 * _blobs(rng, image.shape, 12)
    distance = np.sqrt(((z - z0) / rz) ** 2 + (y / ry) ** 2 + (x / rx) ** 2) + irregular
    image[distance < 1.0] = rng.uniform(-60, 60)
    image[distance < 0.94] = rng.uniform(700, 1300)
    brain = distance < 0.94 - rng.uniform(3, 9) / rx
    image[brain] = (BRAIN + 5 * _blobs(rng, image.shape, 3))[brain]
    ventricles = np.sqrt(((z - z0 - 10) / 25) ** 2 + ((y + 5) / 40) ** 2 + ((np.abs(x) - 12) / 8) ** 2) < 1
    image[ventricles] = SPINAL_FLUID
    base = brain & (z < z0 - 0.45 * rz)  # skull base and face: bone, air cells and soft tissue beside each other
    mixed = np.select([_blobs(rng, image.shape, 2.5) > 0.9, _blobs(rng, image.shape, 2.5) > 0.9], [900.0, AIR], 50.0)
    image[base] = mixed[base]
    if rng.random() < 0.5:
        image[(distance > 1.06) & (distance < 1.12) & (y > 0)] = rng.uniform(-300, 100)  # a head rest


def _limbs(rng: np.random.Generator, image: Array, z: Array, y: Array, x: Array) -> None:
    count = int(rng.integers(1, 3))
    for side in (-1, 1)[:count]:
        radius = rng.uniform(35, 95)
        middle = side * rng.uniform(1.0, 1.3) * radius if count == 2 else 0.0
        slope = rng.uniform(-0.1, 0.1, 2)
        distance = np.hypot(y - slope[0] * z, x - middle - slope[1] * z) + 4 * _blobs(rng, image.shape, 8)
        bone = rng.uniform(9, 16)
        offset = np.hypot(y - slope[0] * z - rng.uniform(-20, 20), x - middle - slope[1] * z - rng.uniform(-20, 20))
        image[distance < radius] = FAT
        image[distance < radius * rng.uniform(0.6, 0.95)] = MUSCLE
        image[offset < bone] = rng.uniform(700, 1400)
        image[offset < bone * rng.uniform(0.4, 0.8)] = rng.uniform(-80, 250)


def _cylinder(rng: np.random.Generator, image: Array, z: Array, y: Array, x: Array) -> None:
    radius = rng.uniform(80, 190)
    image[np.broadcast_to(np.hypot(y, x) < radius, image.shape)] = rng.uniform(-20, 60)
    for _ in range(int(rng.integers(0, 12))):  # inserts of other materials
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.8) * radius
        insert = np.hypot(y - away * np.sin(angle), x - away * np.cos(angle)) < rng.uniform(4, 30)
        image[np.broadcast_to(insert, image.shape)] = rng.choice([AIR, -100, 0, 40, 100, 200, 400, 900])


def _material(rng: np.random.Generator, image: Array, z: Array, y: Array, x: Array) -> None:
    """Paint a cylinder, a ball or a block of one material, or fill the image with it."""
    rz, ry, rx = rng.uniform(40, 190, 3)
    box = (np.abs(z) < rz) & (np.abs(y) < ry) & (np.abs(x) < rx)
    ball, cylinder = (z / rz) ** 2 + (y / rz) ** 2 + (x / rz) ** 2 < 1, (y / ry) ** 2 + (x / ry) ** 2 < 1
    shape = (box, ball, cylinder, np.True_)[int(rng.integers(4))]
    materials = [0.0, 0.0, 0.0, AIR, rng.uniform(-150, 300), rng.uniform(300, 1200)]
    image[np.broadcast_to(shape, image.shape)] = rng.choice(materials)


def _blobs(rng: np.random.Generator, size: tuple[int, ...], sigma: float) -> Array:
    """Return smooth noise of unit variance, `sigma` voxels coarse."""
    coarse = [max(2, int(n / sigma)) for n in size]
    noise = ndimage.zoom(rng.standard_normal(coarse), [n / c for n, c in zip(size, coarse, strict=True)], order=1)
    return np.asarray(noise / noise.std(), np.float32)
