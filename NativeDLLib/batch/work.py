"""Doing one case: a process of its own, which ends with the one that started it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from NativeDLLib.batch.manifest import CANCELLED, DONE, FAILED
from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.files import write_json
from NativeDLLib.worker.processes import environment, kill_tree, python_command

_REPORT, _SEG = "report.json", "segmentation.dcm"
_POLL_S = 0.1
# A job that is asked to end has as long as `parent` gives it, and some more.
_END_S = 8.0
_MARK = "--with-parent"


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
    """Outcome of a task: a state of the manifest, with its details."""

    state: str
    facts: dict[str, Any] = field(default_factory=dict)


def is_complete(folder: Path) -> bool:
    """Tell whether a case's folder holds a whole result."""
    return _read_report(folder) is not None


def perform(task: Task, stop: Callable[[], bool], device: str | None = None, turns: Sequence[Path] = ()) -> Outcome:
    """Do a task, or what is left of it.

    Parameters
    ----------
    task
        Whose folder nothing else writes to meanwhile.
    stop
        Asked again and again whether to end early.
    device
        As for ``nativedl run``; None for what the arguments say.
    turns
        As for ``nativedl run``; none where the task need not wait for others.
    """
    started, folder = time.monotonic(), Path(task.folder)
    report = _read_report(folder)
    if report is None:
        chosen = () if device is None else ("--device", device)
        waits = ("--turn", *map(str, turns)) if turns else ()
        # A job that was killed while it moved its files in leaves some of them, but no report.
        command = ("run", *task.arguments, *chosen, *waits, "--output", task.folder, "--overwrite")
    elif task.send and _is_unsent(report):
        command = ("send", *task.send, str(folder / _SEG))
    else:
        return Outcome(DONE, {"code": 0, "reason": "the result was complete already", **_findings(report)})
    code, events, last_words = _run(command, stop)
    seconds = round(time.monotonic() - started, 2)
    facts: dict[str, Any] = {"code": code, "warnings": events["warning"], "seconds": seconds}
    if code == 0:
        written = _read_report(folder) or {}
        if command[0] == "send":
            written["sent"] = {"peer": task.send[0], "delivered": True}
            write_json(folder / _REPORT, written)
        return Outcome(DONE, facts | _findings(written))
    told = events["error"][-1:]
    cancelled = code == CancelledError.exit_code or (stop() and not told)
    return Outcome(CANCELLED if cancelled else FAILED, facts | {"reason": "".join(told) or _reason(code, last_words)})


def end_jobs(output: str) -> None:
    """End the jobs of a batch that run on this machine, whoever started them.

    Parameters
    ----------
    output
        Folder of the batch.
    """
    jobs = [process for process in psutil.process_iter() if _is_job(process, output)]
    for job in jobs:
        with contextlib.suppress(psutil.Error):
            job.terminate()
    stuck = psutil.wait_procs(jobs, timeout=_END_S)[1]
    for job in stuck:
        kill_tree(job.pid)
    psutil.wait_procs(stuck, timeout=_END_S)


def _is_job(process: psutil.Process, output: str) -> bool:
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    return _MARK in line and any(word.startswith(output + os.sep) for word in line)


def _run(arguments: Sequence[str], stop: Callable[[], bool]) -> tuple[int, dict[str, list[str]], str]:
    """Run a command to its end and return its exit code, its warnings and errors, and the last line on stderr."""
    command = python_command("--events", _MARK, *arguments)
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
                env=environment(),
                # Ctrl-C in the terminal is for the batch, which then ends its jobs; on Windows none opens a window.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            return 1, events | {"error": [f"{command[0]}: cannot be started ({error.strerror})"]}, ""
        reader = threading.Thread(target=_read_events, args=(process.stdout, events), daemon=True)
        reader.start()
        try:
            code = _wait(process, stop)
        finally:
            _ask_to_end(process)
        reader.join(_END_S)
        return code, events, _last_line(log)


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
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        kill_tree(process.pid)


def _read_events(stream: IO[str], events: dict[str, list[str]]) -> None:
    with stream:
        for line in stream:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                if event["event"] in events:
                    events[event["event"]].append(str(event["message"]))


def _last_line(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:300] if lines else ""


def _reason(code: int, last_words: str) -> str:
    """Say what is known of a job that ended without an error of its own."""
    killed = " (killed, perhaps because memory ran out)" if code == -9 else ""
    how = f"by signal {-code}{killed}" if code < 0 else f"with exit code {code}"
    return f"the job ended {how}" + (f"; its last words: {last_words}" if last_words else "")


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
