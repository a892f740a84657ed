"""Ctrl-C and SIGTERM: a wish to cancel, and the end of a process that does not hear it.

Python hears a signal only between two steps of its own, and a network that never returns is one step. The byte that
the system writes for each signal is heard by a thread of its own.
"""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.progress import Progress
from NativeDLLib.worker.parent import end_now

_DEAF_S = 5.0
# Jobs that this process has started have as long as `parent` gives them, and some more.
_SLOW_S = 15.0


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
