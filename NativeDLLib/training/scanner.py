"""Effects of a scanner: kernel, slice thickness, noise, metal artefacts, and shifted Hounsfield units."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training.chance import chance, normal, uniform, whole


def scan(image: Tensor, rng: Generator) -> Tensor:
    """Image in Hounsfield units (z, y, x) as another scanner, kernel, dose or a patient with metal would give it."""
    if chance(rng, 0.04):
        image = _metal(image, rng)
    kind = float(torch.rand((), generator=rng))
    if kind < 0.3:
        image = _blur(image, axes=(0, 1, 2))
    elif kind < 0.5:  # a sharp kernel
        image = image + (image - _blur(image, axes=(1, 2))) * uniform(rng, 0.2, 1.2)
    if chance(rng, 0.3):
        image = _thicken(image, factor=2 + whole(rng, 2))
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


def _thicken(image: Tensor, factor: int) -> Tensor:
    """Average slices as thick ones do, and interpolate between them again."""
    thick = functional.avg_pool3d(image[None, None], (factor, 1, 1), stride=(factor, 1, 1), ceil_mode=True)
    return functional.interpolate(thick, size=image.shape, mode="trilinear", align_corners=False)[0, 0]


def _blur(image: Tensor, axes: tuple[int, ...]) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25])
    for axis in axes:
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = 3
        padding = [int(a == axis) for a in range(3)]
        image = functional.conv3d(image[None, None], kernel.view(shape), padding=padding)[0, 0]
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
