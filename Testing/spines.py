"""Classes of synthetic spines: what a network gives for bodies of published size, with the faults of networks."""

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

VERTEBRA, CORE, SACRUM, RIB = 1, 2, 3, 4
ROLES = {"vertebra": VERTEBRA, "core": CORE, "sacrum": SACRUM, "rib": RIB}
# Height, width and depth of the body, and height of the disc below it, in mm: Kunkel et al., J Anat 216 (2010) 320,
# and for C3 to C7 Gilad and Nissan, J Anat 143 (1985) 115, rounded and interpolated.
SIZES = {f"L{n}": (27.5 - 0.3 * (n - 3), 41 + 2 * n, 33.0, 8.0 + 0.6 * n) for n in range(1, 6)}
SIZES |= {f"T{n}": (16.0 + 0.75 * n, 28 + 0.9 * n, 17 + 1.1 * n, 3.5 + 0.3 * n) for n in range(1, 13)}
SIZES |= {f"C{n}": (13.0, 15 + 1.2 * n, 15.5, 5.0) for n in range(3, 8)}
UPWARDS = [
    *(f"L{n}" for n in range(5, 0, -1)),
    *(f"T{n}" for n in range(12, 0, -1)),
    *(f"C{n}" for n in range(7, 2, -1)),
]
_IN_PLANE_MM = 1.5


@dataclass
class Spine:
    """A spine to be made; `levels` is from the bottom up, names of which the sizes are unknown are "L6" and "T13".

    Merged pairs are indices of the lower vertebra; `waist` is how narrow their bridge is, relative to the bodies.
    """

    levels: list[str]
    slices_mm: float = 3.0
    scale: float = 1.0
    sacrum: bool = True
    merged: list[int] = field(default_factory=list)
    waist: float = 1.0
    missing: list[int] = field(default_factory=list)
    scoliosis_mm: float = 0.0
    metal: list[int] = field(default_factory=list)
    cut_mm: tuple[float, float] = (0.0, 0.0)
    seed: int = 0


def make_spine(spine: Spine) -> tuple[sitk.Image, np.ndarray]:
    """Classes of a spine, and the truth (z, y, x) there: the number of each vertebra from the bottom up, from 1."""
    rng = np.random.default_rng(spine.seed)
    sizes = [np.array(_size(level)) * spine.scale * rng.uniform(0.97, 1.03) for level in spine.levels]
    pitches = [size[0] + size[3] for size in sizes]
    tops = np.cumsum(pitches)
    total = tops[-1] + 20
    z = np.arange(-40 + spine.cut_mm[0], total - spine.cut_mm[1], spine.slices_mm)[:, None, None]
    y = np.arange(-40, 75, _IN_PLANE_MM)[None, :, None]
    x = np.arange(-70, 70, _IN_PLANE_MM)[None, None, :] - spine.scoliosis_mm * np.sin(np.pi * z / total)
    classes = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape), np.uint8)
    truth = np.zeros_like(classes)
    middles = tops - [size[0] / 2 for size in sizes]
    for number, (level, (height, width, depth, _), middle) in enumerate(zip(spine.levels, sizes, middles, strict=True)):
        if number in spine.missing:
            continue
        up, round_ = np.abs(z - middle) - height / 2, np.hypot(x / (width / 2), y / (depth / 2))
        body = (up <= 0) & (round_ <= 1)
        drop = 0.6 if level[0] == "T" else 0.1
        spinous = (np.abs(x) < 4) & (y > depth / 2 + 14) & (y < depth / 2 + 36)
        spinous &= np.abs(z - middle + drop * (y - depth / 2)) < height / 3
        arch = (np.abs(np.hypot(x, y - depth / 2 - 8) - 13) < 3) & (np.abs(z - middle) < height / 4)
        mask = (body | spinous | arch) & (classes != SACRUM)
        classes[mask] = VERTEBRA
        truth[mask] = number + 1
        classes[(up <= -3) & (np.hypot(x / (width / 2 - 3), y / (depth / 2 - 3)) <= 1)] = CORE
        if level[0] == "T":
            rib = (
                (np.abs(np.hypot(x, y - 20) - (width / 2 + 16)) < 4) & (np.abs(z - middle - height / 3) < 5) & (y > -5)
            )
            rib &= (np.abs(x) > width / 2 + 3) & (classes == 0)
            classes[rib] = RIB
    for lower in spine.merged:
        (_, width, depth, _), between = sizes[lower], (z > middles[lower]) & (z < middles[lower + 1])
        bridge = between & (np.hypot(x / (width / 2 - 3), y / (depth / 2 - 3)) <= spine.waist)
        classes[bridge] = CORE
        truth[bridge & (truth == 0)] = lower + 1
    if spine.sacrum:
        classes[(z < -2) & (z > -60) & (np.hypot(x / 45, y / 20) <= 1)] = SACRUM
    for number in spine.metal:
        near = (np.abs(z - middles[number]) < 12) & (np.abs(x) < 40)
        classes[near & (rng.random(classes.shape) < 0.5)] = 0
    image = sitk.GetImageFromArray(classes)
    image.SetSpacing((_IN_PLANE_MM, _IN_PLANE_MM, spine.slices_mm))
    return image, truth


def _size(level: str) -> tuple[float, float, float, float]:
    return SIZES[{"L6": "L5", "T13": "T12"}.get(level, level)]
