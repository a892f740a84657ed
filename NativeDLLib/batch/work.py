"""Doing one case: a process of its own, which ends with the one that started it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

import NativeDLLib
from NativeDLLib.batch.manifest import CANCELLED, DONE, FAILED
from NativeDLLib.errors import CancelledError
from NativeDLLib.files import write_json

_REPORT, _SEG = "report.json", "segmentation.dcm"
_POLL_S = 0.1
# A job that is asked to end has as long as `parent` gives it, and some more.
_END_S = 8.0
_LOCK = threading.Lock()
_PROCESSES: dict[subprocess.Popen[str], str] = {}


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a case.

    Attributes
    ----------
    name
        Of the case.
    folder
        Of its result.
    arguments
        Of ``nativedl run``: the source and the options, without ``--output``.
    send
        Arguments of ``nativedl send`` before the file, where the result is to be sent.
    """

    name: str
    folder: str
    arguments: tuple[str, ...]
    send: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a state of the manifest, and what is to be known of it."""

    state: str
    facts: dict[str, Any] = field(default_factory=dict)


def is_complete(folder: Path) -> bool:
    """Tell whether a case's folder holds a whole result."""
    return _read_report(folder) is not None


def perform(task: Task, stop: Callable[[], bool], device: str | None = None) -> Outcome:
    """Do a task, or what is left of it.

    Parameters
    ----------
    task
        Whose folder nothing else writes to meanwhile.
    stop
        Asked again and again whether to end early.
    device
        As for ``nativedl run``; None for what the arguments say.
    """
    started, folder = time.monotonic(), Path(task.folder)
    report = _read_report(folder)
    if report is None:
        chosen = () if device is None else ("--device", device)
        # A job that was killed while it moved its files in leaves some of them, but no report.
        command = ("run", *task.arguments, *chosen, "--output", task.folder, "--overwrite")
    elif task.send and _is_unsent(report):
        command = ("send", *task.send, str(folder / _SEG))
    else:
        return Outcome(DONE, {"code": 0, "reason": "the result was complete already", **_findings(report)})
    code, error, warnings = _run(command, str(folder.parent), stop)
    facts: dict[str, Any] = {"code": code, "warnings": warnings, "seconds": round(time.monotonic() - started, 2)}
    if code == 0:
        written = _read_report(folder) or {}
        if command[0] == "send":
            written["sent"] = {"peer": task.send[0], "delivered": True}
            write_json(folder / _REPORT, written)
        return Outcome(DONE, facts | _findings(written))
    cancelled = code == CancelledError.exit_code or (error is None and stop())
    return Outcome(CANCELLED if cancelled else FAILED, facts | {"reason": error or _reason(code)})


def end_jobs(output: str) -> int:
    """End the jobs that this process runs for a batch, and return how many there were."""
    with _LOCK:
        mine = [process for process, batch in _PROCESSES.items() if batch == output]
    for process in mine:
        _ask_to_end(process)
    for process in mine:
        _end(process)
    return len(mine)


def _run(arguments: Sequence[str], output: str, stop: Callable[[], bool]) -> tuple[int, str | None, list[str]]:
    """Run a command to its end and return its exit code, error and warnings."""
    root = str(Path(NativeDLLib.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "NativeDLLib", "--events", "--with-parent", *arguments]
    events: dict[str, list[str]] = {"warning": [], "error": []}
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
                env=os.environ | {"PYTHONPATH": paths},
                # Ctrl-C in the terminal is for the batch, which then ends its jobs.
                start_new_session=True,
            )
        except OSError as error:
            return 1, f"{sys.executable}: cannot be started ({error.strerror})", []
        with _LOCK:
            _PROCESSES[process] = output
        reader = threading.Thread(target=_read_events, args=(process.stdout, events), daemon=True)
        reader.start()
        try:
            code = _wait(process, stop)
        finally:
            _ask_to_end(process)
            with _LOCK:
                del _PROCESSES[process]
        reader.join(_END_S)
        errors = events["error"] or ([] if code == 0 else _last_words(log))
    return code, errors[-1] if errors else None, events["warning"]


def _wait(process: subprocess.Popen[str], stop: Callable[[], bool]) -> int:
    while True:
        try:
            return process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if stop():
                _ask_to_end(process)
                _end(process)


def _ask_to_end(process: subprocess.Popen[str]) -> None:
    # Closing it is what its `end_with_parent` waits for.
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired, psutil.NoSuchProcess):
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            family = psutil.Process(process.pid)
            for member in [*family.children(recursive=True), family]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            process.wait(_END_S)


def _read_events(stream: IO[str], events: dict[str, list[str]]) -> None:
    with stream:
        for line in stream:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                if event["event"] in events:
                    events[event["event"]].append(str(event["message"]))


def _last_words(log: IO[bytes]) -> list[str]:
    """Return the last line that a crashed process wrote, or nothing."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
    lines = log.read().decode(errors="replace").split("\n")
    return [" ".join(line.split())[:300] for line in lines if line.strip()][-1:]


def _reason(code: int) -> str:
    if code < 0:
        return f"the job was ended by signal {-code}" + (", perhaps because memory ran out" if code == -9 else "")
    return f"the job ended with exit code {code} and without a reason"


def _read_report(folder: Path) -> dict[str, Any] | None:
    try:
        report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _is_unsent(report: dict[str, Any]) -> bool:
    return report.get("segmentation") is not None and not (report.get("sent") or {}).get("delivered")


def _findings(report: dict[str, Any]) -> dict[str, Any]:
    model = report.get("model") or {}
    return {"model": f"{model.get('id')} {model.get('version')}", "outcome": report.get("outcome")}
