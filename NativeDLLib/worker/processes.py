"""A command of this library in a process of its own, as the program that started it sees it."""

import contextlib
import json
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.core.errors import InputError

if TYPE_CHECKING:
    import psutil

SPARE = "--spare"
"""First argument of a process that waits; see `spare_command`."""
CONVERT = "--convert-keras"
"""First argument of a process that converts a network; the second is its file."""
_PACKAGE = Path(__file__).resolve().parent.parent
_LOG_LINES, _LONGEST = 500, 300
_SIGKILL = 9  # Windows has none


def python_command(*arguments: object, python: str | None = None) -> list[str]:
    """Command line for a process of this library, in this Python or another one. ``-P`` and the path of a file, not
    ``-m`` and a name: a file ``pydicom.py`` in the folder that the process starts in would be imported for the library.
    """
    return [python or sys.executable, "-P", str(_PACKAGE / "__main__.py"), *map(str, arguments)]


def worker_command(arguments: Sequence[object]) -> tuple[str, list[str], str]:
    """Program, arguments and folder for a command of this library with events; in Slicer, its own Python."""
    return _in_slicer(*with_events(arguments))


def spare_command(model: str) -> tuple[str, list[str], str]:
    """Return the same for a process that imports what a model needs, and then waits for `spare_line`."""
    return _in_slicer(SPARE, model)


def spare_line(arguments: Sequence[object]) -> bytes:
    """Return the line that tells a process of `spare_command` which command to run."""
    return json.dumps(with_events(arguments)).encode() + b"\n"


def with_events(arguments: Sequence[object]) -> list[str]:
    """Return the arguments of a command that writes events, and that ends with the process that started it."""
    return [*map(str, arguments), "--events", "--with-parent"]


def _in_slicer(*arguments: str) -> tuple[str, list[str], str]:
    program, *rest = python_command(*arguments, python=slicer_python())
    return program, rest, str(_PACKAGE.parent)


def slicer_python() -> str:
    """Return Slicer's own Python, or where there is none this one."""
    found = shutil.which("PythonSlicer")
    # A relative path is one of the folder that Slicer was started in, where Windows looks first.
    return found if found and os.path.isabs(found) else sys.executable


def environment() -> dict[str, str]:
    """Environment in which no Python, also one that a library starts, imports from the folder it starts in. An empty
    entry of ``PYTHONPATH``, easily made by appending to nothing, stands for that folder.
    """
    places = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return others | {"PYTHONSAFEPATH": "1"} | ({"PYTHONPATH": os.pathsep.join(places)} if places else {})


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started; it need not be there any more."""
    # Slicer's panel is there before the packages are.
    import psutil

    # Zero is what a process that has not started yet says of itself, and the mother of all others to the system.
    if pid > 0:
        with contextlib.suppress(psutil.Error):
            family: list[psutil.Process] = []
            _freeze(psutil.Process(pid), family)
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()


def _freeze(process: "psutil.Process", family: "list[psutil.Process]") -> None:
    """Stop a process and its descendants, from the top, so that none starts another one that would be missed."""
    import psutil

    family.append(process)
    with contextlib.suppress(psutil.Error):
        process.suspend()
        for child in process.children():
            _freeze(child, family)


class EventReader:
    """Events of a command, put together however they arrive."""

    def __init__(self) -> None:
        self.result: dict[str, Any] | None = None  # the report at its end
        self.error: str | None = None  # one line that says why it failed
        self.hint = self.stage = ""  # the remedy on the command line, and the present stage
        self.decoding = ""  # file with the compressed image that was last being decoded in this stage
        self.code: int | None = None  # exit code of its error
        self.warnings: list[str] = []
        self.log: deque[str] = deque(maxlen=_LOG_LINES)  # last lines, for a person
        self._events, self._messages = _Lines(), _Lines()

    def feed(self, data: bytes) -> list[tuple[str, dict[str, Any]]]:
        """Take bytes of standard output; return the kind and content of each event that is now complete."""
        return [event for line in self._events.add(data) if (event := self._event(line)) is not None]

    def feed_log(self, data: bytes) -> None:
        """Take bytes of standard error."""
        for line in self._messages.add(data):
            self._say(line)

    def end(self, exit_code: int | None, *, crashed: bool = False, cancelled: bool = False, program: str = "") -> None:
        """Take the exit code, None where `program` was not started; `error` is there where it did not end well. With
        `cancelled` that was the wish, whoever ended it: itself, its parent, or the system before it could listen.
        """
        self.feed_log(b"\n")
        self.feed(b"\n")
        # What was reported is there, whatever a library did when the process was taken down.
        if self.result is not None:
            return
        if cancelled:
            self.error = "Cancelled."
        elif self.error is None and exit_code is None:
            self.error = f"{program} could not be started: it is missing, or this computer does not allow it."
        elif self.error is None and (crashed or exit_code != 0):
            crashed = crashed or not 0 <= (exit_code or 0) < 256
            self.error = self._why(crashed and abs(exit_code or 0) not in (signal.SIGTERM, _SIGKILL))

    def _why(self, by_itself: bool) -> str:
        """Sentence for a process that ended without a word, by a fault of its own or perhaps by another's wish."""
        if self.decoding and by_itself:
            self.code = InputError.exit_code
            return f"{self.decoding}: its compressed pixel data are damaged: decoding them ended the process"
        last = f" Its last words: {' '.join(self.log[-1].split())[:_LONGEST]}" if self.log else ""
        return f"The process ended unexpectedly: memory may have run out, or it was killed.{last}"

    def _event(self, line: bytes) -> tuple[str, dict[str, Any]] | None:
        try:
            event = json.loads(line)
            kind = str(event.pop("event"))
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            self._say(line)
            return None
        if kind == "result":
            self.result = event
        elif kind == "error":
            self.error = str(event.get("message") or "The process failed without saying why.")
            self.hint, self.code = str(event.get("hint") or ""), event.get("code")
        elif kind == "warning":
            self.warnings.append(str(event.get("message")))
        elif kind == "stage":
            self.stage, self.decoding = str(event.get("stage")), ""
        elif kind == "decode":
            self.decoding = str(event.get("file"))
        if kind not in ("progress", "result", "decode"):
            self.log.append(f"{kind}: {event.get('message') or event.get('stage') or ''}")
        return kind, event

    def _say(self, text: bytes) -> None:
        self.log.extend(line for line in text.decode(errors="replace").splitlines() if line.strip())


class _Lines:
    """Bytes cut into lines; each byte is looked at once, however small the pieces in which a long line arrives."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, data: bytes) -> list[bytes]:
        """Return the lines that are now complete."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts = []
        self._parts.append(rest)
        return lines
