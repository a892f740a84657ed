"""Which tests the daily round leaves out: those that start a server, another process or Slicer, or train a network."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent
# Their tests run commands that start processes, or train.
ROOMS = {"batch", "benchmarks", "demo", "docs", "extension", "interop", "serve", "slicer", "training"}
PROCESSES = {"subprocess", "multiprocessing", "Popen"}


def is_slow(item: pytest.Item) -> bool:
    """Whether a test, one of its fixtures, or a helper that these name starts a process."""
    if item.path.relative_to(FOLDER).parts[0] in ROOMS:
        return True
    fixtures = [each[-1].func for each in item._fixtureinfo.name2fixturedefs.values()]  # type: ignore[attr-defined]
    return any(_starts_process(made, set()) for made in (item.function, *fixtures))  # type: ignore[attr-defined]


def _starts_process(made: Any, seen: set[int]) -> bool:
    """Follow the names in a function, or in the methods of a class, through the modules of the tests."""
    if id(made) in seen:
        return False
    seen.add(id(made))
    if isinstance(made, type):
        return any(_starts_process(part, seen) for kind in made.__mro__ for part in vars(kind).values())
    if not isinstance(made, types.FunctionType) or FOLDER not in Path(made.__code__.co_filename).parents:
        return False
    names = set(_names(made.__code__))
    return bool(names & PROCESSES) or any(_starts_process(made.__globals__.get(name), seen) for name in names)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
