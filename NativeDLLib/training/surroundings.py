"""Surroundings of the patient in a CT: arms that are down, and the table."""

import torch
from torch import Generator, Tensor

from NativeDLLib.training.chance import chance, normal, uniform

_AIR_BELOW = -500.0


def add_arms(image: Tensor, rng: Generator) -> Tensor:
    """Image (z, y, x) in Hounsfield units, about 3 mm, LPS, with an arm at one or both sides where there is air."""
    body = (image > _AIR_BELOW).float().mean(dim=(0, 1)) > 0.1
    columns = torch.nonzero(body).flatten()
    if not len(columns):
        return image
    first, last = int(columns[0]), int(columns[-1])
    for edge, side in ((first, -1), (last, 1)):
        if chance(rng, 0.6):
            image = _paint_arm(image, edge, side, rng)
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
