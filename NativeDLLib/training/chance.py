"""Random numbers that a `torch.Generator` repeats."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


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
