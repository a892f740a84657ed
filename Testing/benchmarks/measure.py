"""What a program takes: wall time, processor time, and the highest memory of it and all that it starts (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_INTERVAL_S = 0.02
_LOOK_FOR_CHILDREN_S = 0.2
_PART_OF_FREE = 0.9


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Attributes
    ----------
    seconds
        The task alone; of a program that does nothing else, all of it.
    process_seconds
        From the start of the process to its end; as `seconds` where it had none of its own.
    cpu_seconds
        On all cores together, of the process and its children.
    peak_mib
        Highest memory of the process and its children together: what is their own, and once what they share.
    """

    seconds: float
    process_seconds: float
    cpu_seconds: float
    peak_mib: float


class RunError(Exception):
    """A program that was to be measured failed."""


def run_process(
    command: Sequence[object],
    log: Path,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 7200,
    most_mib: float | None = None,
) -> Cost:
    """Run a command to its end and return what it took; what it prints goes to `log`.

    Raises
    ------
    RunError
        Where it cannot be started, fails, takes longer than `timeout_s`, or more memory than `most_mib`: without one
        that is nine tenths of what is free, so that nothing else on the machine has to give way.
    """
    words = [str(word) for word in command]
    limit = most_mib or psutil.virtual_memory().available / 2**20 * _PART_OF_FREE
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("wb") as stream:
        try:
            # In a session of its own, so that whatever it starts can be ended with it.
            process = subprocess.Popen(
                words,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_user() | dict(environment or {}),
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"{words[0]} cannot be started ({error.strerror})") from error
    alarm = threading.Timer(timeout_s, _end, [process.pid])
    alarm.start()
    try:
        with Peak(process.pid, limit) as peak:
            _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        _end(process.pid)
        process.wait()
        raise
    finally:
        alarm.cancel()
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if peak.mib > limit:
        raise RunError(f"{words[0]} was ended: it took more than {limit:.0f} MiB of memory")
    if process.returncode != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise RunError(f"{words[0]} ended with {process.returncode}, see {log}: {' / '.join(last)}")
    return Cost(seconds, seconds, usage.ru_utime + usage.ru_stime, peak.mib)


def _user() -> dict[str, str]:
    """Return the environment as it is for a user, whose Python keeps what it compiles."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_here(task: Callable[[], object]) -> Cost:
    """Call a function and return what that took; the memory is that of this process with all it held before."""
    cpu, started = time.process_time(), time.perf_counter()
    with Peak(os.getpid()) as peak:
        task()
    seconds = time.perf_counter() - started
    return Cost(seconds, seconds, time.process_time() - cpu, peak.mib)


class Peak:
    """The highest memory of a process and its descendants while the block runs.

    The kernel's own high-water mark of a child (``ru_maxrss``) cannot be used: it begins with the memory of the process
    that started it. What is sampled here is what each process has for itself, its part of what a family of forked ones
    shares, and the mapped files of the one that has most of them; and the high-water mark of each one alone, so that a
    short peak is not missed. Beyond a limit in MiB the process is ended with all that it started.
    """

    def __init__(self, pid: int, limit_mib: float | None = None) -> None:
        self._pid = pid
        self._limit = limit_mib
        self._pids = [pid]
        self._looked = time.monotonic()
        self._kib = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def mib(self) -> float:
        """The peak in MiB so far."""
        return self._kib / 1024

    def __enter__(self) -> Peak:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL_S):
            self._sample()
            if self._limit is not None and self.mib > self._limit:
                _end(self._pid)
                return

    def _sample(self) -> None:
        if time.monotonic() - self._looked > _LOOK_FOR_CHILDREN_S:
            self._looked = time.monotonic()
            self._pids = [self._pid, *_children(self._pid)]
        found = [_kib(pid, "status") for pid in self._pids]
        # Of this process itself, the mark is that of all it did before.
        mark = "VmRSS" if self._pid == os.getpid() else "VmHWM"
        self._kib = max(self._kib, *(status.get(mark, 0) for status in found))
        if len(found) == 1:
            return
        mapped = max(status.get("RssFile", 0) for status in found)
        if mapped + sum(s.get("RssAnon", 0) + s.get("RssShmem", 0) for s in found) > self._kib:
            # Parts of what is shared take the kernel a while to find, so only where they may make a difference.
            parts = [_kib(pid, "smaps_rollup") for pid in self._pids]
            own = sum(part.get("Pss_Anon", 0) + part.get("Pss_Shmem", 0) for part in parts)
            self._kib = max(self._kib, own + mapped)


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _kib(pid: int, file: str) -> dict[str, int]:
    """Return the fields in KiB of a file about a process; none of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[1]) for words in fields}


def _end(pid: int) -> None:
    """End a process with all that it started in its session."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
