"""Doing one case: a process of its own, which ends with the one that started it."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from NativeDLLib.batch.manifest import CANCELLED, DONE, FAILED
from NativeDLLib.core.errors import CancelledError, InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.results.names import REPORT, SEG
from NativeDLLib.results.report import Report, Sent
from NativeDLLib.worker.child import END_S, run_command
from NativeDLLib.worker.processes import kill_tree

_MARK = "--with-parent"


@dataclass(frozen=True)
class Task:
    """A case for a worker."""

    name: str
    folder: str  # that of its result
    arguments: tuple[str, ...]  # arguments of ``nativedl run``: the source and the options, without ``--output``
    send: tuple[str, ...] = ()  # arguments of ``nativedl send`` before the file, where the result is sent


@dataclass(frozen=True)
class Outcome:
    """Outcome of a task: a state of the manifest, with its details."""

    state: str
    facts: dict[str, Any] = field(default_factory=dict)


def whole_result(folder: Path) -> Report | None:
    """Report of the result in a case's folder; None where there is none, or not all of it."""
    try:
        return Report.read(folder / REPORT, check=False)
    except InputError:
        return None


def perform(task: Task, stop: Callable[[], bool], device: str | None = None, turns: Sequence[Path] = ()) -> Outcome:
    """Do a task, or the rest of it, in a folder that nothing else writes to. `stop` is asked again and again whether to
    end early; `device` and `turns` are those of ``nativedl run``.
    """
    started, folder = time.monotonic(), Path(task.folder)
    report = whole_result(folder)
    if report is None:
        chosen = () if device is None else ("--device", device)
        waits = ("--turn", *map(str, turns)) if turns else ()
        # A job that was killed while it moved its files in leaves some of them, but no report.
        command = ("run", *task.arguments, *chosen, *waits, "--output", task.folder, "--overwrite")
    elif task.send and report.segmentation and not (report.sent and report.sent.delivered):
        command = ("send", *task.send, str(folder / SEG))
    else:
        return Outcome(DONE, {"code": 0, "reason": "the result was complete already", **_findings(report)})
    ended = run_command(command, stop)
    told, seconds = ended.reader, round(time.monotonic() - started, 2)
    facts: dict[str, Any] = {"code": ended.code, "warnings": told.warnings, "seconds": seconds}
    if ended.code == 0:
        written = Report.read(folder / REPORT, check=False)
        if command[0] == "send":
            written.sent = Sent(task.send[0], delivered=True)
            written.write(folder / REPORT)
        return Outcome(DONE, facts | _findings(written))
    cancelled = ended.code == CancelledError.exit_code or (stop() and told.code is None)
    # Whoever reads a manifest types commands.
    reason = "; ".join(filter(None, (told.error, told.hint)))
    return Outcome(CANCELLED if cancelled else FAILED, facts | {"reason": reason})


def end_jobs(output: str) -> None:
    """End the jobs of a batch, known by its output folder, that run on this machine, whoever started them."""
    jobs = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or ()  # None where it may not be read
        if _MARK in line and any(word.startswith(output + os.sep) for word in line):
            jobs.append(process)
    for job in jobs:
        with contextlib.suppress(psutil.Error):
            job.terminate()
    stuck = psutil.wait_procs(jobs, timeout=END_S)[1]
    for job in stuck:
        kill_tree(job.pid)
    psutil.wait_procs(stuck, timeout=END_S)


def _findings(report: Report) -> dict[str, Any]:
    model = f"{report.model.id} {report.model.version}" if report.model else None
    return {"model": model, "outcome": report.outcome}


@dataclass(frozen=True)
class Happening:
    """A case was started (no outcome yet) or has ended; where says on which worker."""

    name: str
    where: str
    outcome: Outcome | None = None


def run_here(
    tasks: Sequence[Task], jobs: int, devices: Sequence[str], progress: Progress, turns: Path | None = None
) -> Iterator[Happening]:
    """Outcomes of tasks in `jobs` processes at a time. With `turns`, a folder of lock files, there are two
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
                outcome = perform(task, lambda: progress.is_cancelled, device, files)
                happenings.put(Happening(task.name, device or "here", outcome))
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
