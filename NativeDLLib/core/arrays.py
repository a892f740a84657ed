"""Arrays: names for their kinds, the smallest box around what is in one, and work on them on all cores."""

import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
"""Coordinates in mm, and what is computed from them."""
Index = npt.NDArray[np.intp]
Labels = npt.NDArray[np.uint16]
# For each thread, so that none waits long for the last one.
_GROUPS = 12
Item = TypeVar("Item")
Result = TypeVar("Result")


def box_of(mask: Array) -> tuple[slice, ...] | None:
    """Return the part of each axis of a mask that holds all of it; None where there is nothing in it."""
    slices: list[slice] = []
    while mask.ndim:
        hits = np.flatnonzero(mask.any(axis=tuple(range(1, mask.ndim))))
        if not len(hits):
            return None
        slices.append(slice(int(hits[0]), int(hits[-1]) + 1))
        # The other axes need no second look at the whole.
        mask = np.asarray(mask[slices[-1]].any(axis=0))
    return tuple(slices)


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results of a function for each item, in order, on all cores; NumPy's matrix products keep to one core each."""
    every, workers = list(items), os.cpu_count() or 1
    # A few items at a time, as handing one over takes as long as a small one.
    size = max(1, len(every) // (_GROUPS * workers))
    groups = [every[start : start + size] for start in range(0, len(every), size)]
    with _libraries().limit(limits=1), ThreadPoolExecutor(workers) as pool:
        return list(itertools.chain.from_iterable(pool.map(lambda group: [work(item) for item in group], groups)))


class Scratch(threading.local):
    """Arrays for what a thread computes again and again: a new one each time would take longer than the work on it."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def array(self, name: str, shape: Sequence[int], dtype: npt.DTypeLike = np.float32) -> Array:
        """Return an array with whatever is in it; it is this thread's until it asks for the name again."""
        size, there = math.prod(shape), self._arrays.get(name)
        if there is None or there.size < size or there.dtype != dtype:
            there = self._arrays[name] = np.empty(size, dtype)
        return there[:size].reshape(shape)


@functools.cache
def _libraries() -> Any:
    np.zeros((1, 1)) @ np.zeros((1, 1))  # so that NumPy's library is loaded before it is looked for
    return ThreadpoolController().select(user_api="blas")
