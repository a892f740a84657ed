"""A command of this library in a process of its own, as the program that started it sees it."""

from __future__ import annotations

import json
import os
import sysconfig
from pathlib import Path
from typing import Any

import NativeDLLib

_LOG_LINES = 500


def environment() -> dict[str, str]:
    """Return an environment in which a job finds this program, also where it is not installed but lies in a folder."""
    root = str(Path(NativeDLLib.__file__).parent.parent)
    if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


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
