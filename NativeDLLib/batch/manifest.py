"""The manifest: a JSON line for everything that happened to a case, on disk before anything else happens."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from NativeDLLib import __version__
from NativeDLLib.core.errors import InputError

NAME = "manifest.jsonl"
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"


@dataclass
class Manifest:
    """Outcome of each case so far; ``last`` is the last line of each case by name, with its options as ``asked``."""

    path: Path  # of the file, which only grows
    last: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> "Manifest":
        """Manifest in a locked folder, without a last line that a kill tore; InputError for another damaged one."""
        manifest = cls(folder / NAME)
        try:
            content = manifest.path.read_bytes()
        except FileNotFoundError:
            return manifest
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                manifest._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{manifest.path}: line {number} is damaged; remove it to go on") from error
        if len(whole) < len(content):
            with manifest.path.open("rb+") as stream:
                stream.truncate(len(whole))
        return manifest

    def state(self, name: str) -> str | None:
        """Return the state of a case; None where it is new."""
        return str(self.last[name]["state"]) if name in self.last else None

    def queue(self, asked: Mapping[str, dict[str, Any]]) -> None:
        """Write down the cases that wait, by name, with the options that each is to be done with."""
        self._add([{"case": name, "state": QUEUED, "asked": a, "nativedl": __version__} for name, a in asked.items()])

    def note(self, name: str, state: str, **facts: Any) -> None:
        """Write down what became of a case."""
        self._add([{"case": name, "state": state, **facts}])

    def _add(self, lines: Iterable[dict[str, Any]]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        stamped = [{"time": now, **line} for line in lines]
        with self.path.open("ab") as stream:
            stream.write("".join(json.dumps(line) + "\n" for line in stamped).encode())
            stream.flush()
            os.fsync(stream.fileno())
        for line in stamped:
            self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        name = line["case"]
        asked = line["asked"] if line["state"] == QUEUED else self.last[name]["asked"]
        self.last[name] = {**line, "asked": dict(asked)}
