"""Batches of random patches, made while the network is trained on earlier ones."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Generator, Tensor

from NativeDLLib.training.augment import random_patch
from NativeDLLib.training.cases import Case
from NativeDLLib.training.config import Config

_AHEAD = 4
Batch = tuple[Tensor, Tensor]


def batches(
    cases: Sequence[Case], odds: Sequence[float], config: Config, *, first: int, workers: int
) -> Iterator[Batch]:
    """Batches from step `first` on: patches (N, 1, z, y, x) and classes (N, z, y, x).

    The seed and its number alone draw a patch; neither the number of workers nor an interruption changes any.
    """
    edges = np.cumsum(odds)[:-1]
    size, steps = config.schedule.batch, config.schedule.steps

    def patch(number: int) -> Batch:
        entropy = np.random.SeedSequence([config.schedule.seed, number]).generate_state(1, np.uint64)
        rng = Generator().manual_seed(int(entropy[0]))
        draw = float(torch.rand((), generator=rng))
        return random_patch(cases[int(np.searchsorted(edges, draw, side="right"))], config, rng)

    # More than one thread for one patch would only be in the way of the network's.
    pool = ThreadPoolExecutor(workers, "patches", initializer=torch.set_num_threads, initargs=(1,))
    try:
        numbers = iter(range(first * size, steps * size))
        waiting: deque[Future[Batch]] = deque()
        for _ in range(first, steps):
            while len(waiting) < size + workers * _AHEAD and (number := next(numbers, None)) is not None:
                waiting.append(pool.submit(patch, number))
            images, targets = zip(*(waiting.popleft().result() for _ in range(size)), strict=True)
            yield torch.stack(images), torch.stack(targets)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
