"""Random numbers that a `torch.Generator` repeats."""

import torch
from torch import Generator, Tensor
from torch.nn import functional


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
