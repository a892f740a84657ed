"""Progress of a job: stages, fractions, remaining time, warnings; shown to a person, or as JSON lines to a program.

Every long-running function takes a `Reporter` and a `Cancel`. The base `Reporter` measures and keeps quiet, so it is
also what a caller without an audience passes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TextIO, TypeVar

import psutil
from tqdm import tqdm

from NativeDLLib.core.errors import CancelledError, NativeDLError

Step = TypeVar("Step")


class Cancel:
    """A wish to stop that one thread (or a signal handler) sets and the working one looks at."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason: NativeDLError | None = None

    def set(self, reason: NativeDLError | None = None) -> None:
        """Ask for the work to stop at the next point where it can, for a reason other than that the user wishes it."""
        self._reason = reason
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the work is to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `CancelledError`, or the reason that was given, if the work is to stop."""
        if self.is_set:
            raise self._reason or CancelledError("cancelled: nothing was written or sent after that moment")


@dataclass
class StageCost:
    """What one stage took: wall time in seconds and the highest resident memory during it in MiB."""

    name: str
    seconds: float
    peak_mib: float


class Reporter:
    """Follows a job through its stages and measures each; subclasses show it.

    Attributes
    ----------
    stages
        What each took.
    warnings
        What the user was told.
    forward
        Tells the seconds in which forward passes of networks ran.
    watch_memory
        Given the stage and the resident memory in bytes, many times a second, by another thread.
    """

    # Nobody can follow more than ten steps a second, and a reader of events should not have to.
    _INTERVAL_S = 0.1

    def __init__(self) -> None:
        self.stages: list[StageCost] = []
        self.warnings: list[str] = []
        self.forward = Busy()
        self.watch_memory: Callable[[str, int], None] | None = None
        self._fraction_started = 0.0
        self._shown_at = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block as the stage `name`."""
        self._fraction_started = started = time.perf_counter()
        self.show({"event": "stage", "stage": name})
        with _PeakMemory(self._watch(name)) as memory:
            try:
                yield
            finally:
                self.stages.append(StageCost(name, time.perf_counter() - started, memory.peak_mib))

    def _watch(self, stage: str) -> Callable[[int], None]:
        return lambda has: None if self.watch_memory is None else self.watch_memory(stage, has)

    def apart(self, name: str, seconds: float) -> None:
        """Count some seconds of the last stage, which did two things by turns, as those of a stage of their own."""
        last = self.stages[-1]
        last.seconds -= seconds
        self.stages.append(StageCost(name, seconds, last.peak_mib))

    def progress(self, stage: str, fraction: float) -> None:
        """Report how much of the stage is done, 0 to 1; the remaining seconds follow from the pace so far."""
        now = time.perf_counter()
        if fraction < 1 and now - self._shown_at < self._INTERVAL_S:
            return
        self._shown_at = now
        elapsed = now - self._fraction_started
        remaining = elapsed * (1 - fraction) / fraction if fraction > 0 else None
        self.show(
            {
                "event": "progress",
                "stage": stage,
                "fraction": round(fraction, 4),
                "remaining_s": None if remaining is None else round(remaining, 1),
            }
        )

    def warning(self, message: str) -> None:
        """Report, once, something the user should know but that does not stop the job."""
        message = " ".join(message.split())
        if message not in self.warnings:
            self.warnings.append(message)
            self.show({"event": "warning", "message": message})

    def result(self, report: dict[str, Any]) -> None:
        """Report what came out of the job."""
        self.show({"event": "result", **report})

    def error(self, error: NativeDLError) -> None:
        """Report the error that ended the job."""
        self.show({"event": "error", "code": error.exit_code, "message": str(error)})

    def show(self, event: dict[str, Any]) -> None:
        """Show one event; the base class keeps quiet."""


class Busy:
    """Adds up the seconds in which at least one thread is in the block that it is entered for."""

    def __init__(self) -> None:
        self._lock, self._inside, self._since = threading.Lock(), 0, 0.0
        self.seconds = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._since = time.perf_counter()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self.seconds += time.perf_counter() - self._since


class Stopwatch(Generic[Step]):
    """Passes on what an iterator gives, and adds up the seconds that it takes for that."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = iter(steps)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        started = time.perf_counter()
        try:
            return next(self._steps)
        finally:
            self.seconds += time.perf_counter() - started


class JsonReporter(Reporter):
    """Writes each event as one JSON object a line, for a program that started this one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()

    def show(self, event: dict[str, Any]) -> None:
        """Write one line and flush it, so that the reader is never behind."""
        with self._lock:
            self._stream.write(json.dumps(event, ensure_ascii=True, default=str) + "\n")
            self._stream.flush()


class TerminalReporter(Reporter):
    """Shows progress bars and warnings to a person on stderr; results are printed by the commands."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None

    def show(self, event: dict[str, Any]) -> None:
        """Draw the event."""
        kind = event["event"]
        if kind == "progress":
            self._draw(event["stage"], event["fraction"])
            return
        if kind == "case":
            self._draw("cases", (event["done"] + event["failed"]) / event["total"])
            return
        self._close()
        if kind in ("warning", "error"):
            self._stream.write(f"nativedl: {kind}: {event['message']}\n")
            self._stream.flush()

    def _draw(self, stage: str, fraction: float) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=1.0,
                initial=fraction,  # what was done before says nothing about the pace
                desc=stage,
                file=self._stream,
                leave=False,
                disable=None,  # nothing but messages where stderr is a file
                bar_format="{desc} {percentage:3.0f}%|{bar}| {remaining} left",
            )
        self._bar.n = fraction
        self._bar.refresh()
        if fraction >= 1:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _PeakMemory:
    """Samples this process's resident memory, because the system's own high-water mark cannot be reset everywhere."""

    _INTERVAL_S = 0.02

    def __init__(self, watch: Callable[[int], None]) -> None:
        self._process, self._watch = psutil.Process(), watch
        self._done = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def peak_mib(self) -> float:
        return self._peak / 2**20

    def __enter__(self) -> _PeakMemory:
        self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._read()

    def _read(self) -> None:
        has = self._process.memory_info().rss
        self._peak = max(self._peak, has)
        self._watch(has)

    def _sample(self) -> None:
        while not self._done.wait(self._INTERVAL_S):
            self._read()
