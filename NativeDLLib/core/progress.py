"""Progress of a job: its stages, fractions, remaining time and warnings, and the wish to cancel it."""

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from NativeDLLib.core.errors import CancelledError, NativeDLError
from NativeDLLib.core.memory import MIB, resident, too_much

Step = TypeVar("Step")


@dataclass
class StageCost:
    """Wall time of one stage in seconds, and the highest resident memory during it in MiB."""

    name: str
    seconds: float
    peak_mib: float


class Progress:
    """Progress of one job: it measures each stage, keeps the warnings, and carries the wish to cancel. Cancelling it,
    or the `outer` job that it is a part of, cancels both. It is quiet; `cli.show_progress` has those that show it.
    """

    # Nobody can follow more than ten steps a second, and a reader of events should not have to.
    _INTERVAL_S = 0.1
    _SAMPLE_S = 0.02

    def __init__(self, outer: "Progress | None" = None) -> None:
        self.stages: list[StageCost] = []
        self.warnings: list[str] = []  # each once
        self.forward = Busy()  # runs while networks do
        self._most = math.inf  # bytes of resident memory that the job may take
        self._cancellation: _Cancellation = _Cancellation() if outer is None else outer._cancellation
        self._fraction_started = 0.0
        self._shown_at = 0.0

    def cancel(self, reason: NativeDLError | None = None) -> None:
        """Ask, from any thread or signal handler, for the work to stop at the next `check`, which raises `reason`."""
        self._cancellation.reason = reason
        self._cancellation.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether the work is to stop."""
        return self._cancellation.is_set()

    def check(self) -> None:
        """Raise `CancelledError`, or the reason that was given, if the work is to stop."""
        if self.is_cancelled:
            reason = self._cancellation.reason
            raise reason or CancelledError("cancelled: nothing was written or sent after that moment")

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block as the stage `name`."""
        self._fraction_started = started = time.perf_counter()
        self.show({"event": "stage", "stage": name})
        cost, done = StageCost(name, 0.0, 0.0), threading.Event()
        sampler = threading.Thread(target=self._sample, args=(cost, done), daemon=True)
        sampler.start()
        try:
            yield
        finally:
            cost.seconds = time.perf_counter() - started
            done.set()
            sampler.join()
            self.stages.append(cost)

    def _sample(self, cost: StageCost, done: threading.Event) -> None:
        """Sample the resident memory, because the system's own high-water mark cannot be reset everywhere."""
        while True:
            has, most = resident(), self._most
            cost.peak_mib = max(cost.peak_mib, has / MIB)
            if has > most and not self.is_cancelled:
                self.cancel(too_much(f"the {cost.name} stage took {has // MIB}", int(most)))
            if done.is_set():
                return
            done.wait(self._SAMPLE_S)

    @contextlib.contextmanager
    def memory_limit(self, limit: int | None) -> Iterator[None]:
        """Limit in bytes on this process' memory in the block: beyond it, the job is cancelled with an `InputError`."""
        self._most = math.inf if limit is None else limit
        try:
            yield
        finally:
            self._most = math.inf

    def update(self, stage: str, fraction: float) -> None:
        """Report how much of the stage is done, 0 to 1; the remaining seconds follow from the pace so far."""
        now = time.perf_counter()
        if fraction < 1 and now - self._shown_at < self._INTERVAL_S:
            return
        self._shown_at = now
        elapsed = now - self._fraction_started
        left = round(elapsed * (1 - fraction) / fraction, 1) if fraction > 0 else None
        self.show({"event": "progress", "stage": stage, "fraction": round(fraction, 4), "remaining_s": left})

    def warn(self, message: str, hint: str = "") -> None:
        """Report, once, something the user should know but that does not stop the job; see `NativeDLError`."""
        message = " ".join(message.split())
        if message not in self.warnings:
            self.warnings.append(message)
            self.show({"event": "warning", "message": message, "hint": hint})

    def result(self, report: dict[str, Any], *lines: str) -> None:
        """Report the result of the job: `report` to a program, `lines` to a person."""
        self.show({"event": "result", **report})

    def error(self, error: NativeDLError) -> None:
        """Report the error that ended the job."""
        self.show({"event": "error", "code": error.exit_code, "message": str(error), "hint": error.hint})

    def show(self, event: dict[str, Any]) -> None:
        """Show one event; the base class keeps quiet."""


class _Cancellation(threading.Event):
    """A flag that one thread sets and another one checks, with the reason."""

    reason: NativeDLError | None = None


class Busy:
    """A clock that runs while at least one thread is in the block that it is entered for."""

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

    def timed(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Give the items of an iterator; the clock runs while that makes them."""
        while True:
            try:
                with self:
                    step = next(steps)
            except StopIteration:
                return
            yield step
