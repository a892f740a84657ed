"""Random patches of a case: where it is cut, how it is bent, and what a scanner would have made of it.

Every function draws from a `torch.Generator` only, so that a seed repeats the training.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training.cases import Case
from NativeDLLib.training.task import Task

AIR = -1024.0
_ODDS_OF_FOREGROUND = 0.75
_BENDING_NODES, _BENDING_VOXELS = (5, 7, 7), 3.0


def random_patch(case: Case, task: Task, rng: Generator) -> tuple[Tensor, Tensor]:
    """Cut one augmented patch.

    Returns
    -------
    tuple of Tensor
        The normalised image, float32 of shape (1, z, y, x), and the target, int64 of shape (z, y, x).
    """
    points = sampling_points(case, task, rng)
    image = sample(case.image, points, outside=AIR)
    classes = sample(case.classes, points, outside=0)
    target = sample(case.target, points, outside=0)
    if task.mirror and _chance(rng, 0.5):
        image, classes, target = image.flip(2), classes.flip(2), target.flip(2)
    image = recolour(image, classes.long(), case, rng)
    image = scan(image, rng)
    image, target = limit_field_of_view(image, target, rng)
    return normalise(image, task)[None], target.long()


def normalise(image: Tensor, task: Task) -> Tensor:
    """Apply the input contract of `task` to Hounsfield units."""
    return (image.clip(*task.clip) - task.mean) / task.std


def uniform(rng: Generator, low: float, high: float, *shape: int) -> Tensor:
    """Draw from a uniform distribution; without a shape, one number."""
    return low + (high - low) * torch.rand(shape, generator=rng)


def sampling_points(case: Case, task: Task, rng: Generator) -> Tensor:
    """Draw where a patch's voxels come from: voxel indices (z, y, x) in the case, shape (z, y, x, 3).

    The patch is scaled, turned, sheared and bent, and more often than not centred near the structure.
    """
    patch, shape = torch.tensor(task.patch), torch.tensor(case.image.shape)
    foreground = torch.nonzero(case.target)
    if len(foreground) and _chance(rng, _ODDS_OF_FOREGROUND):
        chosen = foreground[int(torch.randint(len(foreground), (1,), generator=rng))]
        centre = chosen + uniform(rng, -0.3, 0.3, 3) * patch
    else:
        centre = uniform(rng, 0.1, 0.9, 3) * shape
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in task.patch]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ _affine(rng).T
    if _chance(rng, 0.7):
        nodes = torch.randn((1, 3, *_BENDING_NODES), generator=rng) * _BENDING_VOXELS * uniform(rng, 0.2, 1)
        bend = functional.interpolate(nodes, size=task.patch, mode="trilinear", align_corners=True)[0]
        points = points + bend.permute(1, 2, 3, 0)
    return points + centre


def _affine(rng: Generator) -> Tensor:
    matrix = torch.diag(1 / (uniform(rng, 0.75, 1.3) * uniform(rng, 0.9, 1.1, 3)))
    for axis, degrees in enumerate((15, 10, 10)):  # about z, y and x
        angle = math.radians(float(uniform(rng, -degrees, degrees)))
        i, j = ((1, 2), (0, 2), (0, 1))[axis]
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    return matrix + uniform(rng, -0.06, 0.06, 3, 3) * (1 - torch.eye(3))


def sample(volume: Tensor, points: Tensor, outside: float) -> Tensor:
    """Read a volume (z, y, x) at voxel indices (…, 3): labels by the nearest voxel, images by linear interpolation."""
    size = torch.tensor(volume.shape, dtype=torch.float32)
    grid = ((2 * points + 1) / size - 1).flip(-1)[None]  # grid_sample wants (x, y, z) from -1 to 1
    mode = "bilinear" if volume.is_floating_point() else "nearest"
    source = volume.float()[None, None] - outside  # grid_sample pads with zeros
    values = functional.grid_sample(source, grid, mode=mode, padding_mode="zeros", align_corners=False)[0, 0] + outside
    return values if volume.is_floating_point() else values.to(volume.dtype)


def recolour(image: Tensor, classes: Tensor, case: Case, rng: Generator) -> Tensor:
    """Give the structures other Hounsfield units: a contrast medium, or anything (Billot et al. 2023, SynthSeg)."""
    kind = float(torch.rand((), generator=rng))
    offset = torch.randn(256, generator=rng) * 8
    if kind < 0.45:
        offset += case.uptake * uniform(rng, 0, 180)
    elif kind < 0.8:
        soft = (case.means > -60) & (case.means < 110)
        drawn = uniform(rng, -10, 190) + torch.randn(256, generator=rng) * 35
        offset = torch.where(soft, drawn - case.means, offset)
        bony = case.means >= 110
        offset = torch.where(bony, uniform(rng, -60, 150) + torch.randn(256, generator=rng) * 25, offset)
    change = offset[classes][None, None]
    partial_volume = functional.avg_pool3d(change, 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    density = float(uniform(rng, 0.6, 1.5))
    image = image + partial_volume
    return torch.where(image > 120, 120 + (image - 120) * density, image)


def scan(image: Tensor, rng: Generator) -> Tensor:
    """Blur, thicken slices, add noise, and shift and stretch the Hounsfield units (all of shape (z, y, x))."""
    if _chance(rng, 0.3):
        image = _blur(image, axes=(0, 1, 2))
    if _chance(rng, 0.3):
        factor = int(torch.randint(2, 4, (1,), generator=rng))  # thick slices, 6 or 9 mm
        thick = functional.avg_pool3d(image[None, None], (factor, 1, 1), stride=(factor, 1, 1), ceil_mode=True)
        image = functional.interpolate(thick, size=image.shape, mode="trilinear", align_corners=False)[0, 0]
    if _chance(rng, 0.8):
        noise = torch.randn(image.shape, generator=rng)
        if _chance(rng, 0.5):
            noise = _blur(noise, axes=(1, 2)) * 2
        image = image + noise * uniform(rng, 0, 28)
    return image * uniform(rng, 0.92, 1.08) + uniform(rng, -15, 15)


def _blur(image: Tensor, axes: tuple[int, ...]) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25])
    for axis in axes:
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = 3
        padding = [int(a == axis) for a in range(3)]
        image = functional.conv3d(image[None, None], kernel.view(shape), padding=padding)[0, 0]
    return image


def limit_field_of_view(image: Tensor, target: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
    """Now and then leave only a thin slab, a cropped rectangle or the scanner's circle, and pad the rest with air."""
    keep = torch.ones(image.shape, dtype=torch.bool)
    depth, height, width = image.shape
    if _chance(rng, 0.35):
        thickness = int(torch.exp(uniform(rng, 0, math.log(26))))  # a voxel (a few thin slices) to 75 mm
        start = int(torch.randint(0, max(1, depth - thickness), (1,), generator=rng))
        keep[:start] = keep[start + thickness :] = False
    if _chance(rng, 0.15):
        y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
        keep &= (y**2 + x**2 < (float(uniform(rng, 0.4, 0.6)) * width) ** 2)[None]
    elif _chance(rng, 0.15):
        top, left = (int(torch.randint(0, n // 3, (1,), generator=rng)) for n in (height, width))
        keep[:, :top] = keep[:, :, :left] = False
    return torch.where(keep, image, AIR), target * keep


def _chance(rng: Generator, odds: float) -> bool:
    return float(torch.rand((), generator=rng)) < odds
