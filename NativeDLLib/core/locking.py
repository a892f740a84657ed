"""A folder that only one process works in at a time, and turns that processes take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress

_POLL_S = 0.05

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
    """Lock on a folder for the block; the system releases it when the process ends in any way.

    The folder is made. UsageError with the text `busy` where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as stream:
        try:
            _lock(stream)
        except OSError as error:
            raise UsageError(busy) from error
        yield


@contextmanager
def take_turn(files: Sequence[Path], progress: Progress) -> Iterator[None]:
    """Wait until no other process holds one of the files, and hold it until the context is left; the files are made."""
    with ExitStack() as stack:
        streams = [stack.enter_context(file.open("ab")) for file in files]
        while not any(_is_locked(stream) for stream in streams):
            progress.check()
            time.sleep(_POLL_S)
        yield


def _is_locked(stream: IO[bytes]) -> bool:
    """Lock a file, and tell whether that was possible now."""
    try:
        _lock(stream)
    # What is held by another process; that a file system knows no locks would not change by waiting.
    except (BlockingIOError, PermissionError):
        return False
    return True
