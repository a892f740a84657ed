"""Tasks and cases small enough to learn from in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from NativeDLLib.training.cases import Case, phantom_case
from NativeDLLib.training.task import LIVER, Task

SMALL = (16, 32, 32)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def liver() -> Task:
    """The liver task with a small patch."""
    return replace(LIVER, patch=SMALL)


@pytest.fixture(scope="session")
def small_phantom(liver: Task) -> Case:
    """A phantom at the models' spacing, cut to the upper abdomen."""
    return phantom_case(3, liver, size=(100, 80, 60))
