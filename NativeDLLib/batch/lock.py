"""A batch's folder, in which only one process works at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from NativeDLLib.core.locking import hold


def locked(folder: Path) -> AbstractContextManager[None]:
    """Hold the folder for the block.

    Raises
    ------
    UsageError
        Where another batch holds it.
    """
    return hold(folder, f"{folder}: another batch works there; wait for it, or choose another --output")
