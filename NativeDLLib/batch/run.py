"""A batch from its beginning, or from where it was left, to its end."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from NativeDLLib.batch.cohort import Case, Cohort
from NativeDLLib.batch.manifest import DONE, FAILED, RUNNING, Manifest
from NativeDLLib.batch.work import Happening, Task, end_jobs, run_here, whole_result
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.files import write_names
from NativeDLLib.core.locking import hold
from NativeDLLib.core.progress import Progress
from NativeDLLib.results.names import REPORT


@dataclass(frozen=True)
class Settings:
    """Settings of a batch."""

    output: Path  # folder of the manifest and of a folder for each case
    arguments: tuple[str, ...]  # arguments of ``nativedl run`` for every case
    options: dict[str, Any]  # options that results depend on, to be compared with those of an earlier start
    send: tuple[str, ...] = ()  # arguments of ``nativedl send`` before the file, where results are sent
    jobs: int = 1  # this and the next are those of `run_here`
    devices: tuple[str, ...] = ()
    overlap: bool = False  # whether the next series is read, and the last result written, while a network runs
    scheduler: str | None = None  # address of a Dask scheduler in place of these
    again: bool = False  # whether every case is done anew
    retry_failed: bool = False  # whether the failed ones are


def run_batch(cohort: Cohort, settings: Settings, progress: Progress) -> dict[str, Any]:
    """Do the cases that are not done yet. Returns the numbers of all, done, failed and cancelled cases, and the reasons
    of the failed ones. InputError where the cohort is empty or the manifest damaged; UsageError where another batch
    works in the folder or made its results.
    """
    if not cohort.cases:
        raise InputError(f"there is no series to segment: {cohort}")
    with hold(settings.output, f"{settings.output}: another batch works there; wait for it, or choose another folder"):
        manifest = Manifest.open(settings.output)
        _check_unchanged(manifest, cohort.cases, settings)
        todo = _begin(manifest, cohort.cases, settings, progress)
        tally = _Progress(manifest, cohort.cases, len(todo), progress)
        try:
            for happening in _run([_task(case, settings) for case in todo], settings, progress):
                tally.note(happening)
        except BaseException:
            # Nothing is to go on that can no longer be written down.
            progress.cancel()
            raise
        return tally.summary(cancelled=progress.is_cancelled)


def _run(tasks: Sequence[Task], settings: Settings, progress: Progress) -> Iterator[Happening]:
    if settings.scheduler is None:
        turns = settings.output / ".turns" if settings.overlap else None
        yield from run_here(tasks, settings.jobs, settings.devices, progress, turns)
    elif tasks:
        from NativeDLLib.batch.cluster import run_on_dask

        yield from run_on_dask(tasks, settings.scheduler, str(settings.output), progress)


def _check_unchanged(manifest: Manifest, cases: Sequence[Case], settings: Settings) -> None:
    """Refuse to mix results of different options in one folder, and to write into folders of somebody else."""
    for case in cases:
        if manifest.state(case.name) is None and (settings.output / case.name).exists():
            place = settings.output / case.name
            raise UsageError(f"{place}: is not of this batch; choose another folder", hint="name it with --output")
        if settings.again or manifest.state(case.name) is None:
            continue
        asked = manifest.last[case.name]["asked"]
        for name, now in _asked(case, settings).items():
            if (before := asked.get(name)) != now:
                changed = f"{manifest.path}: case {case.name} was begun with {name} {before}, which is now {now}"
                raise UsageError(changed, hint="give --again to do every case anew, or choose another --output")


def _begin(manifest: Manifest, cases: Sequence[Case], settings: Settings, progress: Progress) -> list[Case]:
    # A batch that was killed may have left jobs that are just ending, and those what they were writing.
    end_jobs(str(settings.output))
    for leftover in settings.output.glob(".nativedl-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if settings.again:
        # Without its report a result counts for nothing; the rest stays until it is replaced.
        for case in cases:
            (settings.output / case.name / REPORT).unlink(missing_ok=True)
    states = {case.name: manifest.state(case.name) for case in cases}
    done = {name for name, state in states.items() if state == DONE and not settings.again}
    gone = {name for name in done if whole_result(settings.output / name) is None}
    if gone:
        progress.warn(f"the results of {len(gone)} cases that were done are gone; they are made again")
    left = {name for name, state in states.items() if state == FAILED} if not settings.retry_failed else set()
    todo = [c for c in cases if settings.again or c.name not in (done - gone) | left]
    manifest.queue({case.name: _asked(case, settings) for case in todo})
    return todo


def _asked(case: Case, settings: Settings) -> dict[str, Any]:
    return settings.options | ({"model": case.model} if case.model else {})


def _task(case: Case, settings: Settings) -> Task:
    model = ("--model", case.model) if case.model else ()
    listed = settings.output / ".files" / f"{case.name}.txt"
    if case.files:
        write_names(listed, case.files)
    source = ("--files", str(listed), *case.source) if case.files else case.source
    arguments = (*source, *settings.arguments, *model)
    return Task(case.name, str(settings.output / case.name), arguments, settings.send)


class _Progress:
    """Writes down what happens, and shows it."""

    def __init__(self, manifest: Manifest, cases: Sequence[Case], todo: int, progress: Progress) -> None:
        self._manifest = manifest
        self._names = [case.name for case in cases]
        self._left = todo
        self._finished = 0
        self._progress = progress
        self._started = time.monotonic()

    def note(self, happening: Happening) -> None:
        outcome = happening.outcome
        if outcome is None:
            self._manifest.note(happening.name, RUNNING, where=happening.where)
        else:
            facts = {"output": happening.name, **outcome.facts} if outcome.state == DONE else outcome.facts
            self._manifest.note(happening.name, outcome.state, where=happening.where, **facts)
            self._finished += 1
        states = self._states()
        elapsed = time.monotonic() - self._started
        left = round(elapsed / self._finished * (self._left - self._finished), 1) if self._finished else None
        case = {"case": happening.name, "state": self._manifest.state(happening.name)}
        counts = {"done": states[DONE], "failed": states[FAILED], "total": len(self._names)}
        self._progress.show({"event": "case", **case, **counts, "remaining_s": left})

    def summary(self, *, cancelled: bool) -> dict[str, Any]:
        states = self._states()
        lines = [self._manifest.last[name] for name in self._names if self._manifest.state(name) == FAILED]
        return {
            "output": str(self._manifest.path.parent),
            "manifest": str(self._manifest.path),
            "total": len(self._names),
            "done": states[DONE],
            "failed": [{"case": line["case"], "code": line["code"], "reason": line["reason"]} for line in lines],
            "cancelled": cancelled,
            "left": len(self._names) - states[DONE] - states[FAILED],
            "seconds": round(time.monotonic() - self._started, 2),
        }

    def _states(self) -> Counter[str | None]:
        return Counter(self._manifest.state(name) for name in self._names)
