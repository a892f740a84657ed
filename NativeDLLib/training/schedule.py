"""How long and how fast a training learns."""

import math
from dataclasses import dataclass

_WARM_UP_STEPS = 50


@dataclass(frozen=True)
class Schedule:
    """Length and pace of a training.

    Attributes
    ----------
    steps
        Number of optimiser steps.
    minutes
        Wall time after which training ends even if steps are left, and to which the learning rate is fitted. The result
        then depends on the machine's speed.
    batch
        Patches a step.
    learning_rate
        Highest learning rate.
    seed
        Seed of weights, patches and augmentation.
    ema
        Share of the average of the weights that each step keeps.
    deep_supervision
        Whether the coarser resolutions learn from the labels too.
    checkpoint_minutes
        Wall time between checkpoints.
    """

    steps: int = 1300
    minutes: float = math.inf
    batch: int = 2
    learning_rate: float = 3e-3
    seed: int = 1
    ema: float = 0.995
    deep_supervision: bool = True
    checkpoint_minutes: float = 5.0

    def rate(self, step: int, progress: float) -> float:
        """Return the learning rate of a step, counted from 0, when `progress` (0 to 1) of the training is done."""
        warm_up = min(1.0, (step + 1) / min(_WARM_UP_STEPS, self.steps / 2))
        return self.learning_rate * warm_up * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))
