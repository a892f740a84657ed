"""The training loop: Dice and cross-entropy, AdamW, a cosine schedule, and the average of the weights as the result."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training.augment import random_patch
from NativeDLLib.training.cases import Case
from NativeDLLib.training.network import SmallUNet
from NativeDLLib.training.task import Task

_LOG = logging.getLogger(__name__)
# On smaller patches oneDNN's bfloat16 gradients of the deepest layer read memory that nobody wrote.
_SMALLEST_FOR_BFLOAT16 = 48


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Attributes
    ----------
    steps
        Number of optimiser steps.
    minutes
        Wall time after which training ends even if steps are left; the result then depends on the machine's speed.
    batch
        Patches a step.
    learning_rate
        Highest learning rate.
    """

    steps: int = 1300
    minutes: float = math.inf
    batch: int = 2
    learning_rate: float = 3e-3


def train(task: Task, cases: Sequence[Case], schedule: Schedule, *, seed: int) -> tuple[SmallUNet, list[float]]:
    """Train a network on random patches.

    Parameters
    ----------
    task
        What to segment.
    cases
        The first is drawn for every other patch, the others share the rest.
    schedule
        How long and how fast.
    seed
        Fixes weights, patches and their augmentation.

    Returns
    -------
    tuple
        The network with averaged weights, in evaluation mode, and the loss at every step.
    """
    torch.manual_seed(seed)
    rng = Generator().manual_seed(seed)
    network = SmallUNet().to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=1e-2)
    losses: list[float] = []
    started = time.monotonic()
    for step in range(schedule.steps):
        progress = max(step / schedule.steps, (time.monotonic() - started) / 60 / schedule.minutes)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * min(1, (step + 1) / 50) * (0.01 + 0.99 * _cosine(progress))
        batch = [random_patch(_draw(cases, rng), task, rng) for _ in range(schedule.batch)]
        images, targets = (torch.stack(part) for part in zip(*batch, strict=True))
        with torch.autocast("cpu", torch.bfloat16, enabled=min(task.patch) >= _SMALLEST_FOR_BFLOAT16):
            logits = network(images.to(memory_format=torch.channels_last_3d))
        loss = dice_and_cross_entropy(logits.float(), targets)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _follow(average, network, decay=min(0.995, step / (step + 10)))
        losses.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            recent = sum(losses[-50:]) / 50
            _LOG.info("%s: step %d, loss %.3f, %.0f s", task.name, step + 1, recent, time.monotonic() - started)
    return average.to(memory_format=torch.contiguous_format), losses


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of voxel-wise cross-entropy and soft Dice loss over a batch (Isensee et al. 2021).

    Parameters
    ----------
    logits
        Float of shape (N, 2, z, y, x).
    target
        0 or 1, int64 of shape (N, z, y, x).
    """
    probability, truth = logits.softmax(dim=1)[:, 1], target.float()
    overlap = (probability * truth).sum()  # over the batch, so that a patch without the structure does not dominate
    dice = (2 * overlap + 1) / (probability.sum() + truth.sum() + 1)
    return functional.cross_entropy(logits, target) + 1 - dice


def _draw(cases: Sequence[Case], rng: Generator) -> Case:
    if len(cases) == 1 or float(torch.rand((), generator=rng)) < 0.5:
        return cases[0]
    return cases[1 + int(torch.randint(len(cases) - 1, (1,), generator=rng))]


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _follow(average: SmallUNet, network: SmallUNet, decay: float) -> None:
    for mean, current in zip(average.parameters(), network.parameters(), strict=True):
        mean.data.lerp_(current.data, 1 - decay)
