"""Doing the cases on this machine, some at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from NativeDLLib.batch.work import Outcome, Task, perform
from NativeDLLib.events import Cancel


@dataclass(frozen=True)
class Happening:
    """A case was started (no outcome yet) or has ended; where says on which worker."""

    name: str
    where: str
    outcome: Outcome | None = None


def run_here(tasks: Sequence[Task], jobs: int, devices: Sequence[str], cancel: Cancel) -> Iterator[Happening]:
    """Do tasks in `jobs` processes at a time, and tell what happens as it does.

    Parameters
    ----------
    tasks
        In the order in which they are started.
    jobs
        How many at a time.
    devices
        Dealt to them in turn; empty for what the tasks' arguments say.
    cancel
        When it is set, no task is started any more, and those that run are ended.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    happenings: queue.SimpleQueue[Happening | BaseException | None] = queue.SimpleQueue()

    def work(slot: int) -> None:
        try:
            device = devices[slot % len(devices)] if devices else None
            while not cancel.is_set:
                task = waiting.get_nowait()
                happenings.put(Happening(task.name, device or "here"))
                happenings.put(Happening(task.name, device or "here", perform(task, lambda: cancel.is_set, device)))
        except queue.Empty:
            pass
        except BaseException as error:
            happenings.put(error)
        finally:
            happenings.put(None)

    threads = [threading.Thread(target=work, args=(slot,), daemon=True) for slot in range(min(jobs, len(tasks)))]
    for thread in threads:
        thread.start()
    for _ in threads:
        while (happening := _next(happenings)) is not None:
            if isinstance(happening, BaseException):
                raise happening
            yield happening


def _next(happenings: queue.SimpleQueue[Happening | BaseException | None]) -> Happening | BaseException | None:
    # Not without an end: on Windows a signal is not looked at by a thread that waits for ever.
    while True:
        try:
            return happenings.get(timeout=0.2)
        except queue.Empty:
            continue
