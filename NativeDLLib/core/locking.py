"""A folder that only one process works in at a time, and turns that processes take."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress

_POLL_S = 0.05
# A context may be left by another thread than entered it.
_lock = partial(FileLock, timeout=0, thread_local=False)


@contextmanager
def hold(folder: Path, busy: str) -> Iterator[None]:
    """Lock on a folder, which is made, for the block; UsageError with the text `busy` where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        mine = _lock(folder / ".lock").acquire()
    except Timeout as error:
        raise UsageError(busy) from error
    with mine:
        yield


@contextmanager
def take_turn(files: Sequence[Path], progress: Progress) -> Iterator[None]:
    """Wait until no other process holds one of the files, and hold it for the block; without files wait for nothing."""
    if not files:
        yield
        return
    locks = [_lock(file) for file in files]
    with progress.stage("wait"):
        while (mine := next(filter(_is_mine, locks), None)) is None:
            progress.check()
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        mine.release()


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold a file of this process' own for the block, and remove it after."""
    with _lock(file):
        yield
    # Windows lets go of it a moment later; what is left then is cleared by the next one that looks.
    with suppress(OSError):
        file.unlink()


def is_held(file: Path) -> bool:
    """Tell whether a living process holds a file, on whatever computer or in whatever container that shares it."""
    if not file.exists():
        return False
    lock = _lock(file)
    if not _is_mine(lock):
        return True
    lock.release()
    return False


def _is_mine(lock: FileLock) -> bool:
    """Take a lock for this process, and tell whether that was possible now."""
    try:
        lock.acquire()
    except Timeout:
        return False
    return True
