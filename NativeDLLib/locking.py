"""A folder that only one process works in at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from NativeDLLib.errors import UsageError

if sys.platform == "win32":
    import msvcrt

    def _lock(stream: IO[bytes]) -> None:
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(stream: IO[bytes]) -> None:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def hold(folder: Path, busy: str) -> Iterator[None]:
    """Hold the folder for the block; the system lets go of it when the process ends, in whatever way.

    Parameters
    ----------
    folder
        Made where it does not exist.
    busy
        What to say where another process holds it.

    Raises
    ------
    UsageError
        Where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as stream:
        try:
            _lock(stream)
        except OSError as error:
            raise UsageError(busy) from error
        yield
