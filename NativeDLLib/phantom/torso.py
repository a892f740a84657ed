"""A phantom: the CT of an abdomen that nobody has, with its labels.

It is like enough to a patient to try and test a segmentation on.
"""

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Points
from NativeDLLib.phantom.body import Body, paint_surroundings, paint_trunk
from NativeDLLib.phantom.bones import CANAL, LEVELS, VERTEBRAE, paint_bones
from NativeDLLib.phantom.canvas import Canvas
from NativeDLLib.phantom.organs import paint_organs

LABELS = {1: "liver", 2: "vertebrae", 3: "sacrum", 4: "hip bones", 5: "ribs", 6: "spleen", 7: "kidneys"}
_THICKEST_MM = 2.5  # thicker slices are the mean of thinner ones, as a scanner's are
_TILE_MM = (70.0, 110.0, 110.0)


def make_phantom(
    seed: int,
    size: tuple[int, int, int] = (512, 512, 60),
    spacing: tuple[float, float, float] = (0.78, 0.78, 5.0),
    *,
    centre: tuple[float, float, float] = (0.0, 10.0, 160.0),
    levels: bool = False,
) -> tuple[sitk.Image, sitk.Image]:
    """CT of a random abdomen in HU (int16), and its labels (uint8, named by `LABELS`), identity direction. `seed` draws
    patient and noise. `size`, `spacing` (mm) and `centre`, the middle of the field of view in mm, LPS, are (x, y, z).
    The liver lies between about 90 and 280 mm above the origin. With `levels` each vertebra and the spinal canal have
    labels of their own.
    """
    thin = max(1, round(spacing[2] / _THICKEST_MM + 0.2))
    fine = (size[0], size[1], size[2] * thin)
    step = (spacing[0], spacing[1], spacing[2] / thin)
    rng, noise_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    axes = zip(fine, step, centre, strict=True)
    x, y, z = (((np.arange(n) - (n - 1) / 2) * s + c).astype(np.float32) for n, s, c in axes)
    canvas = Canvas(x, y, z, _mottle(rng, step, fine))
    body = Body.random(rng)
    paint_trunk(rng, canvas, body)
    paint_organs(rng, canvas, body)
    paint_bones(rng, canvas, body)
    paint_surroundings(rng, canvas, body)

    hu = canvas.hu.reshape(size[2], thin, size[1], size[0]).mean(axis=1) if thin > 1 else canvas.hu
    _add_noise(noise_rng, hu, x, y, level=float(rng.uniform(10, 34)) / (spacing[0] * spacing[2] ** 0.5) ** 0.35)
    np.clip(hu, -1024, 3071, out=hu)
    labels = np.ascontiguousarray(canvas.labels[thin // 2 :: thin])
    if not levels:
        labels[np.isin(labels, list(LEVELS))] = VERTEBRAE
        labels[labels == CANAL] = 0
    origin = tuple(c - (n - 1) / 2 * s for n, s, c in zip(size, spacing, centre, strict=True))
    image, truth = sitk.GetImageFromArray(np.rint(hu, out=hu).astype(np.int16)), sitk.GetImageFromArray(labels)
    for made in (image, truth):
        made.SetOrigin(origin)
        made.SetSpacing(spacing)
    return image, truth


def _mottle(rng: np.random.Generator, spacing: tuple[float, ...], size: tuple[int, ...]) -> Array:
    """Make smooth noise of unit variance, about 8 mm coarse and periodic, of shape (z, y, x)."""
    shape = [max(2, min(round(mm / s), n)) for mm, s, n in zip(_TILE_MM, spacing[::-1], size[::-1], strict=True)]
    frequency = np.meshgrid(*(np.fft.fftfreq(n, s) for n, s in zip(shape, spacing[::-1], strict=True)), indexing="ij")
    smooth = np.exp(-2 * np.pi**2 * 3.5**2 * sum(f * f for f in frequency))
    noise = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape)) * smooth).real
    return np.asarray(noise / noise.std(), np.float32)


def _add_noise(rng: np.random.Generator, hu: Array, x: Array, y: Array, *, level: float) -> None:
    """Add noise as filtered back-projection leaves it: correlated in the slice, strongest in the middle of the body."""
    distance = np.hypot(x[None, :] / 190, y[:, None] / 130)
    sigma = (level * (0.55 + 0.6 * np.exp(-(distance**2)))).astype(np.float32)
    for plane in hu:
        noise = rng.standard_normal(plane.shape, dtype=np.float32)
        noise[:, 1:-1] += 0.7 * (noise[:, 2:] + noise[:, :-2])
        noise[1:-1] += 0.7 * (noise[2:] + noise[:-2])
        plane += sigma * noise * np.float32(1 / 2.0)


def phantom_volume(seed: int = 1) -> tuple[Array, Points]:
    """Return a small phantom as Slicer takes a volume: HU (z, y, x), and the matrix (4, 4) from voxels to RAS mm."""
    image, _ = make_phantom(seed, (128, 128, 40), (3.0, 3.0, 5.0))
    return sitk.GetArrayFromImage(image), np.diag([-3.0, -3.0, 5.0, 1.0])
