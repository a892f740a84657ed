"""Threads for work on arrays: one for each core, in which a product of matrices takes no other core."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call a function with each item, on all cores, and return the results in the items' order.

    NumPy's matrix products would start threads of their own in each of these, which then wait for each other.
    """
    with _one_core_for_products(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(work, items))


@contextlib.contextmanager
def _one_core_for_products() -> Iterator[None]:
    with _libraries().limit(limits=1):
        yield


@functools.cache
def _libraries() -> Any:
    np.zeros((1, 1)) @ np.zeros((1, 1))  # so that NumPy's library is loaded before it is looked for
    return ThreadpoolController().select(user_api="blas")
