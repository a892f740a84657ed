"""Ending with the program that started this one, even where that one was killed and could not say so."""

import os
import threading
from typing import NoReturn

import psutil

from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.files import remove_scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.worker.processes import kill_tree

_GRACE_S = 5.0


def end_with_parent(progress: Progress) -> None:
    """Cancel the work when standard input is closed, and end this process if that takes longer than a few seconds. The
    system closes a pipe when the process at its other end dies, in any way and on every platform.
    """
    threading.Thread(target=_watch, args=(progress,), daemon=True).start()


def _watch(progress: Progress) -> None:
    # Not sys.stdin: its lock, held by a thread that waits, would abort the interpreter at its end.
    while os.read(0, 1024):
        pass
    progress.cancel()
    threading.main_thread().join(_GRACE_S)
    if threading.main_thread().is_alive():
        end_now()


def end_now() -> NoReturn:
    """End this process and all that it started, and leave nothing half-written."""
    for child in psutil.Process().children():
        kill_tree(child.pid)
    remove_scratch()
    os._exit(CancelledError.exit_code)
