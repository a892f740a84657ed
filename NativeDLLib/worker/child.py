"""A command of this library run to its end in a process of its own, within limits of time and memory."""

import contextlib
import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Literal

import psutil

from NativeDLLib.worker.processes import EventReader, environment, kill_tree, python_command, with_events

_POLL_S = 0.1
# A process that is asked to end has as long as `end_with_parent` gives it, and some more.
END_S = 8.0
_LAST_WORDS = 4096

Limit = Literal["time", "memory"]


@dataclass(frozen=True)
class Ended:
    """End of a process: exit code, below zero after a signal, report, and the limit that ended it, if any."""

    code: int
    reader: EventReader
    limit: Limit | None = None


def run_command(
    arguments: Sequence[object], stop: Callable[[], bool], *, seconds: float = math.inf, memory: float = math.inf
) -> Ended:
    """Run a command to its end, or until `stop` returns true; it and all that it started are gone then. `seconds`
    limits its wall time, `memory` the resident bytes of all its processes.
    """
    command, reader = python_command(*with_events(arguments)), EventReader()
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                # Ctrl-C in the terminal is for this process, which then ends that one; on Windows it opens no window.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:
            reader.end(None, program=command[0])
            return Ended(1, reader)
        assert process.stdin is not None
        assert process.stdout is not None
        following = threading.Thread(target=_follow, args=(process.stdout, reader), daemon=True)
        following.start()
        try:
            limit = wait(process, stop, time.monotonic() + seconds, memory)
        finally:
            _end(process)
        following.join(END_S)
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_WORDS))
        reader.feed_log(log.read())
        reader.end(process.returncode)
    return Ended(process.returncode, reader, limit)


def wait(process: subprocess.Popen[bytes], stop: Callable[[], bool], until: float, memory: float) -> Limit | None:
    """Wait until the process has ended, is to stop, or has exceeded a limit."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return None
        if stop():
            return None
        if time.monotonic() > until:
            return "time"
        if memory < math.inf and resident_of(process.pid) > memory:
            # What eats memory is not asked first.
            kill_tree(process.pid)
            return "memory"


def resident_of(pid: int) -> int:
    """Return the bytes of memory that a process and all that it started have; 0 where it has ended."""
    used = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            used += member.memory_info().rss
    return used


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs: closing its standard input is what its `end_with_parent` waits for."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        kill_tree(process.pid)
        process.wait()


def _follow(stream: IO[bytes], reader: EventReader) -> None:
    with stream:
        for line in stream:
            reader.feed(line)
