"""Other appearances of a case: another scanner, other surroundings, other Hounsfield units, another shape.

Drawing every structure's intensity at random is the idea of Billot et al., SynthSeg, Medical Image Analysis 2023, here
within what computed tomography can show: air stays air, fat stays dark, bone stays the brightest tissue.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training.cases import FAT, SOFT, UNLABELLED_AIR, Case, mean_near


def chance(rng: Generator, odds: float) -> bool:
    """Say yes with the given probability."""
    return float(torch.rand((), generator=rng)) < odds


def uniform(rng: Generator, low: float, high: float, *shape: int) -> Tensor:
    """Draw from a uniform distribution; without a shape, one number."""
    return low + (high - low) * torch.rand(shape, generator=rng)


def normal(rng: Generator, *shape: int) -> Tensor:
    """Draw from a normal distribution of unit variance; without a shape, one number."""
    return torch.randn(shape, generator=rng)


def whole(rng: Generator, below: int) -> int:
    """Draw a whole number from 0 to `below`, which is left out."""
    return int(torch.randint(below, (), generator=rng))


def smooth(rng: Generator, shape: torch.Size, coarse: int) -> Tensor:
    """Draw normal noise (z, y, x) at every `coarse` voxels, and interpolate it linearly between them."""
    nodes = normal(rng, 1, 1, *(max(2, n // coarse) for n in shape))
    return functional.interpolate(nodes, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]


def scan(image: Tensor, rng: Generator) -> Tensor:
    """Image in Hounsfield units (z, y, x) as another scanner, kernel, dose or a patient with metal would give it."""
    if chance(rng, 0.04):
        image = _metal(image, rng)
    kind = float(torch.rand((), generator=rng))
    if kind < 0.3:
        image = _blur(image, axes=(0, 1, 2))
    elif kind < 0.5:  # a sharp kernel
        image = image + (image - _blur(image, axes=(1, 2))) * uniform(rng, 0.2, 1.2)
    if chance(rng, 0.3):  # the mean of thick slices, interpolated between them again
        factor = (min(2 + whole(rng, 2), len(image)), 1, 1)
        thick = functional.avg_pool3d(image[None, None], factor, stride=factor, ceil_mode=True)
        image = functional.interpolate(thick, size=image.shape, mode="trilinear", align_corners=False)[0, 0]
    if chance(rng, 0.8):
        noise = normal(rng, *image.shape)
        if chance(rng, 0.5):
            noise = _blur(noise, axes=(1, 2)) * 2
        image = image + noise * uniform(rng, 0, 60 if chance(rng, 0.15) else 28)  # thin slices are the noisiest
    image = image * uniform(rng, 0.94, 1.06) + uniform(rng, -12, 12)
    if chance(rng, 0.05):  # exported through a window
        centre, width = uniform(rng, 20, 80), uniform(rng, 350, 600)
        image = image.clip(float(centre - width / 2), float(centre + width / 2))
    return image


def _blur(image: Tensor, axes: tuple[int, ...]) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25])
    for axis in axes:
        shape = [3 if other == axis else 1 for other in range(3)]
        image = functional.conv3d(image[None, None], kernel.view(1, 1, *shape), padding="same")[0, 0]
    return image


def _metal(image: Tensor, rng: Generator) -> Tensor:
    """Put an implant in, with the bright and dark streaks that go out from it in its slices."""
    depth, height, width = image.shape
    z, y, x = whole(rng, depth), whole(rng, height), whole(rng, width)
    tall = 1 + whole(rng, 8)
    dy, dx = torch.meshgrid(torch.arange(height) - y, torch.arange(width) - x, indexing="ij")
    distance, angle = torch.hypot(dy.float(), dx.float()), torch.atan2(dy.float(), dx.float())
    waves = 2 + whole(rng, 5)
    streaks = torch.sin(waves * angle + uniform(rng, 0, 2 * math.pi)).pow(3) * uniform(rng, 100, 900)
    plane = torch.where(distance < float(uniform(rng, 1, 2.5)), 3000.0, streaks * torch.exp(-distance / 20))
    image = image.clone()
    image[z : z + tall] += plane
    return image


_AIR_BELOW = -500.0


def add_arms(image: Tensor, rng: Generator) -> Tensor:
    """Image (z, y, x) in Hounsfield units, about 3 mm, LPS, with an arm at one or both sides where there is air."""
    body = (image > _AIR_BELOW).float().mean(dim=(0, 1)) > 0.1
    columns = torch.nonzero(body).flatten()
    if not len(columns):
        return image
    for edge, side in ((columns[0], -1), (columns[-1], 1)):
        if chance(rng, 0.6):
            image = _paint_arm(image, int(edge), side, rng)
    return image


def _paint_arm(image: Tensor, edge: int, side: int, rng: Generator) -> Tensor:
    depth, height, width = image.shape
    radius = uniform(rng, 9, 17, 2)
    x0 = edge + side * float(radius[1] * uniform(rng, 0.8, 1.3))
    y0 = height * float(uniform(rng, 0.3, 0.75))
    slope = uniform(rng, -0.15, 0.15, 2)
    z, y, x = torch.meshgrid(torch.arange(depth), torch.arange(height), torch.arange(width), indexing="ij")
    dy, dx = (y - y0 - slope[0] * z) / radius[0], (x - x0 - slope[1] * z) / radius[1]
    distance = dy**2 + dx**2
    arm = torch.full_like(image, -100.0) + normal(rng, *image.shape) * 10
    arm = torch.where(distance < 0.75, 55.0, arm)
    arm = torch.where(distance < 0.08, float(uniform(rng, 400, 1000)), arm)
    arm = torch.where(distance < 0.02, float(uniform(rng, 0, 150)), arm)
    return torch.where((distance < 1) & (image < _AIR_BELOW), arm, image)


def add_table(image: Tensor, rng: Generator) -> Tensor:
    """Paint a table behind the body, over air only; `image` as in `add_arms`."""
    body = (image > _AIR_BELOW).float().mean(dim=(0, 2)) > 0.02
    rows = torch.nonzero(body).flatten()
    if not len(rows) or int(rows[-1]) + 2 >= image.shape[1]:
        return image
    _, height, width = image.shape
    middle = width * float(uniform(rng, 0.2, 0.8))
    curve = (torch.arange(width) - middle) ** 2 * float(uniform(rng, -0.004, 0.0))
    top = int(rows[-1]) + float(uniform(rng, 0, 4)) + curve
    below = torch.arange(height)[:, None] - top[None]
    thickness = float(uniform(rng, 1, 8))
    shell = (below >= 0) & (below < 1.5) | (below >= thickness) & (below < thickness + 1.5)
    plate = torch.where(shell, float(uniform(rng, -300, 250)), float(uniform(rng, -950, -850)))
    inside = (below >= 0) & (below < thickness + 1.5)
    return torch.where(inside[None] & (image < _AIR_BELOW), plate[None], image)


_CLASSES = 256
_SOFT, _BONE = (-60.0, 110.0), 110.0


def recolour(image: Tensor, classes: Tensor, case: Case, rng: Generator) -> Tensor:
    """Image (z, y, x) with the Hounsfield units of each structure shifted and its texture kept."""
    offset = normal(rng, _CLASSES) * 8
    kind = float(torch.rand((), generator=rng))
    soft = (case.means > _SOFT[0]) & (case.means < _SOFT[1])
    bony = case.means >= _BONE
    if kind < 0.45:
        offset += case.uptake * uniform(rng, 0, 180)
    elif kind < 0.8:
        drawn = uniform(rng, -10, 190) + normal(rng, _CLASSES) * 35
        offset = torch.where(soft, drawn - case.means, offset)
        offset = torch.where(bony, uniform(rng, -60, 150) + normal(rng, _CLASSES) * 25, offset)
    if chance(rng, 0.15):  # contrast medium in the bowel, or full vessels: a few structures far brighter than the rest
        # Not those that are mostly what is to be segmented.
        index = case.classes.flatten().long()
        inside = torch.bincount(index, (case.target > 0).flatten().float(), minlength=_CLASSES)
        targets = inside > 0.5 * torch.bincount(index, minlength=_CLASSES)
        bright = soft & ~targets & (torch.rand(_CLASSES, generator=rng) < 0.15)
        offset = torch.where(bright, offset + uniform(rng, 80, 400), offset)
    image = image + mean_near(offset[classes])
    density = float(uniform(rng, 0.55, 1.5))
    image = torch.where(image > 120, 120 + (image - 120) * density, image)
    return _calcify(image, rng) if chance(rng, 0.25) else image


def synthesise(classes: Tensor, case: Case, rng: Generator) -> Tensor:
    """Draw an image from the structures alone; arguments as in `recolour`."""
    mean, deviation = case.means.clone(), uniform(rng, 4, 22, _CLASSES)
    mean[0] = -1000.0  # nothing: beyond the case
    soft = (mean > _SOFT[0]) & (mean < _SOFT[1])
    bony = mean >= _BONE
    drawn = (uniform(rng, -10, 160) + normal(rng, _CLASSES) * 45).clip(-60, 240)
    mean = torch.where(soft, drawn, mean + normal(rng, _CLASSES) * 20)
    mean = torch.where(bony, uniform(rng, 120, 600) + normal(rng, _CLASSES) * 40, mean)
    deviation = torch.where(bony, uniform(rng, 20, 140, _CLASSES), deviation)
    deviation = torch.where(mean < -500, uniform(rng, 5, 60, _CLASSES), deviation)
    texture = smooth(rng, classes.shape, 4) * float(uniform(rng, 0.3, 1)) + 0.5 * normal(rng, *classes.shape)
    return mean_near(mean[classes] + deviation[classes] * texture)


def _calcify(image: Tensor, rng: Generator) -> Tensor:
    """Put a few calcifications of some millimetres into soft tissue, as in vessel walls."""
    soft = torch.nonzero((image > 0) & (image < 250))
    if not len(soft):
        return image
    image = image.clone()
    for _ in range(1 + whole(rng, 12)):
        z, y, x = (int(v) for v in soft[whole(rng, len(soft))])
        part = image[z : z + 1 + whole(rng, 3), y : y + 1 + whole(rng, 2), x : x + 1 + whole(rng, 2)]
        part += uniform(rng, 150, 900)
    return image


# How far, in voxels, a surface moves at most, and how coarse its bulges are.
_REACH, _BULGE = 12, 11
_BONE_HU, _FAT_HU = 150.0, -50.0


def vary_shape(image: Tensor, classes: Tensor, target: Tensor, rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image, classes and target in which the one target structure bulges smoothly outwards and inwards. It becomes like
    the rest of itself where it grows, and fat or soft tissue where it shrinks. It grows over no bone and not out of the
    body. All are (z, y, x).
    """
    mask = target > 0
    if not mask.any():
        return image, classes, target
    level = _share_near(mask.float()) * (1 + 0.5 * smooth(rng, image.shape, _BULGE)) - uniform(rng, 0.1, 0.6)
    body = (classes != 0) & (classes != UNLABELLED_AIR) & (image < _BONE_HU)
    grown, left = (level > 0) & ~mask & body, (level <= 0) & mask
    # The median, and no deviation of what is no tissue: at the border of the case there is air.
    own = float(image[mask].median())
    empty = float(uniform(rng, -120, -80)) if chance(rng, 0.6) else own - float(uniform(rng, 30, 60))
    # Noise of unit variance, partly that of neighbours.
    deviation, fine = float(uniform(rng, 8, 20)), normal(rng, *image.shape)
    texture = deviation * (0.7 * fine + 0.5 * 27**0.5 * mean_near(fine, count_outside=True))
    image = torch.where(left, empty + texture, torch.where(grown, own + texture, image))
    classes = torch.where(grown, classes[mask].mode().values, classes)
    classes = torch.where(left, torch.tensor(FAT if empty < _FAT_HU else SOFT, dtype=classes.dtype), classes)
    return image, classes, torch.where(grown, target.max(), target) * ~left


def _share_near(mask: Tensor) -> Tensor:
    """Return how much of the neighbourhood is in a mask, 0 to 1: half on a flat surface."""
    coarse = functional.avg_pool3d(mask[None, None], 4, stride=4, ceil_mode=True, count_include_pad=False)
    width = 2 * (_REACH // 8) + 3
    coarse = functional.avg_pool3d(coarse, width, stride=1, padding=width // 2, count_include_pad=False)
    return functional.interpolate(coarse, size=tuple(mask.shape), mode="trilinear", align_corners=False)[0, 0]
