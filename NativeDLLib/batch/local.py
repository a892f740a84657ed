"""Doing the cases on this machine, some at a time."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.batch.work import Outcome, Task, perform
from NativeDLLib.core.progress import Progress


@dataclass(frozen=True)
class Happening:
    """A case was started (no outcome yet) or has ended; where says on which worker."""

    name: str
    where: str
    outcome: Outcome | None = None


def run_here(
    tasks: Sequence[Task], jobs: int, devices: Sequence[str], progress: Progress, turns: Path | None = None
) -> Iterator[Happening]:
    """Outcomes of tasks in `jobs` processes at a time. With `turns`, an existing folder of lock files, there are two
    processes for each job: one runs its network while the other reads its series before, or writes and sends its result
    after its own turn. `devices` are dealt to the jobs in turn; empty for the device in the tasks' arguments.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    happenings: queue.SimpleQueue[Happening | BaseException | None] = queue.SimpleQueue()

    dealt = max(1, len(devices))

    def work(slot: int) -> None:
        try:
            device = devices[slot % len(devices)] if devices else None
            # One for each job on this device.
            files = [] if turns is None else [turns / str(n) for n in range(slot % dealt, jobs, dealt)]
            while not progress.is_cancelled:
                task = waiting.get_nowait()
                happenings.put(Happening(task.name, device or "here"))
                happenings.put(
                    Happening(task.name, device or "here", perform(task, lambda: progress.is_cancelled, device, files))
                )
        except queue.Empty:
            pass
        except BaseException as error:
            happenings.put(error)
        finally:
            happenings.put(None)

    count = min(jobs if turns is None else 2 * jobs, len(tasks))
    threads = [threading.Thread(target=work, args=(n % jobs,), daemon=True) for n in range(count)]
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
