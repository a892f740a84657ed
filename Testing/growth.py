"""How much longer a piece of work takes with a larger input, which is the same on a fast computer and a busy one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def growth(work: Callable[[Any], Any], small: Any, large: Any) -> float:
    """Return how many times as much of the processor a piece of work takes with a large input as with a small one."""
    first, second = (min(_processor_seconds(work, each) for _ in range(3)) for each in (small, large))
    return second / first


def _processor_seconds(work: Callable[[Any], Any], given: Any) -> float:
    began = time.thread_time()
    work(given)
    return time.thread_time() - began
