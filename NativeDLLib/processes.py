"""A command of this library in a process of its own, as the program that started it sees it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LOG_LINES = 500


def worker_command(arguments: Sequence[object]) -> tuple[str, list[str], str]:
    """Return the program, its arguments and the folder to start it in for a command of this library with events.

    Inside Slicer the program is Slicer's own Python. ``-m`` finds the library in the folder that the process starts in.
    """
    python = shutil.which("PythonSlicer") or sys.executable
    folder = Path(__file__).resolve().parent.parent
    return python, ["-m", "NativeDLLib", *map(str, arguments), "--events", "--with-parent"], str(folder)


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started."""
    import psutil

    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


class EventReader:
    """Puts together what a command with ``--events`` writes, however it arrives.

    Attributes
    ----------
    result
        What the command reported at its end, or None.
    error
        One line that says why it failed, or None.
    log
        The last lines of what it said.
    """

    def __init__(self) -> None:
        self.result: dict[str, Any] | None = None
        self.error: str | None = None
        self.log: list[str] = []
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[str, dict[str, Any]]]:
        """Take bytes of standard output; return the kind and content of each event that is now complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = []
        for line in lines:
            try:
                event = json.loads(line)
                kind = str(event.pop("event"))
            except (ValueError, KeyError, AttributeError, TypeError):
                self.feed_log(line)
                continue
            if kind == "result":
                self.result = event
            elif kind == "error":
                self.error = str(event["message"])
            if kind not in ("progress", "result"):
                self._keep(f"{kind}: {event.get('message') or event.get('stage') or ''}")
            events.append((kind, event))
        return events

    def feed_log(self, data: bytes) -> None:
        """Take bytes of standard error."""
        for line in data.decode(errors="replace").splitlines():
            self._keep(line)

    def end(self, exit_code: int, *, crashed: bool) -> None:
        """Say how the process ended, so that `error` is there where it did not end well."""
        if self.error is None and (crashed or exit_code != 0):
            last = f" Its last words: {self.log[-1]}" if self.log else ""
            self.error = f"The process ended unexpectedly: memory may have run out, or it was killed.{last}"

    def _keep(self, line: str) -> None:
        self.log = [*self.log, line][-_LOG_LINES:]
