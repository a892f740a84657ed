"""Ctrl-C and SIGTERM: a wish to cancel, and the end of a process that does not hear it.

Python hears a signal only between two steps of its own, and a network that never returns is one step. The byte that
the system writes for each signal is heard by a thread of its own.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import psutil

from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.files import remove_scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.worker.processes import kill_tree

_GRACE_S = 5.0
_DEAF_S = 5.0
# Jobs that this process has started have as long as `end_with_parent` gives them, and some more.
_SLOW_S = 15.0


def end_with_parent(progress: Progress) -> None:
    """Cancel the work when standard input is closed, and end this process if that takes longer than a few seconds. The
    system closes a pipe when the process at its other end dies, in any way and on every platform.
    """

    def watch() -> None:
        # Not sys.stdin: its lock, held by a thread that waits, would abort the interpreter at its end.
        while os.read(0, 1024):
            pass
        progress.cancel()
        threading.main_thread().join(_GRACE_S)
        if threading.main_thread().is_alive():
            end_now()

    threading.Thread(target=watch, daemon=True).start()


def end_now() -> NoReturn:
    """End this process and all that it started, and leave nothing half-written."""
    for child in psutil.Process().children():
        kill_tree(child.pid)
    remove_scratch()
    os._exit(CancelledError.exit_code)


@contextmanager
def cancelled_by_signals(progress: Progress) -> Iterator[None]:
    """Cancel the work of the block at the first signal, and end the process where it does not stop within seconds. It
    is ended after 5 s where Python does not hear the signal, and after 15 s where it does. At a second signal it ends
    as the system would have it. In another thread than the main one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, done = threading.Event(), threading.Event()

    def handle(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        heard.set()
        progress.cancel()

    def watch() -> None:
        if not reading.recv(1):
            return
        progress.cancel()
        if not (heard.wait(_DEAF_S) and done.wait(_SLOW_S)):
            with suppress(Exception):
                progress.error(CancelledError("cancelled: nothing was written or sent after that moment"))
            end_now()

    reading, writing = socket.socketpair()
    writing.setblocking(False)
    handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        # The thread must not end a program that has called this one and goes on.
        done.set()
        heard.set()
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        writing.close()
        watching.join()
        reading.close()
