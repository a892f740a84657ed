"""The manifest: a JSON line for everything that happened to a case, on disk before anything else happens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from NativeDLLib import __version__
from NativeDLLib.errors import InputError

NAME = "manifest.jsonl"
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"


@dataclass
class Manifest:
    """What became of each case so far.

    Attributes
    ----------
    path
        The file; it is only ever added to.
    options
        What results depend on, as it was last written down; None where there is no manifest yet.
    last
        The last line of each case, by name.
    """

    path: Path
    options: dict[str, Any] | None = None
    last: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Manifest:
        """Read the manifest in a folder that is locked.

        A last line that a kill tore apart is cut off.

        Raises
        ------
        InputError
            Where another line is damaged.
        """
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
        line = self.last.get(name)
        return None if line is None else str(line["state"])

    def begin(self, options: dict[str, Any], queued: Iterable[tuple[str, str]]) -> None:
        """Write down the options of the batch, and cases that wait, with the model that each is to have."""
        lines: list[dict[str, Any]] = [{"batch": options, "nativedl": __version__}]
        lines += [{"case": name, "state": QUEUED, "asked_model": model} for name, model in queued]
        self._add(lines)

    def note(self, name: str, state: str, **facts: Any) -> None:
        """Write down what became of a case."""
        asked = self.last[name]["asked_model"]
        self._add([{"case": name, "state": state, "asked_model": asked, **facts}])

    def _add(self, lines: list[dict[str, Any]]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        stamped = [{"time": now, **line} for line in lines]
        with self.path.open("ab") as stream:
            stream.write("".join(json.dumps(line) + "\n" for line in stamped).encode())
            stream.flush()
            os.fsync(stream.fileno())
        for line in stamped:
            self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if "batch" in line:
            self.options = dict(line["batch"])
        else:
            self.last[line["case"]] = {"state": line["state"], "asked_model": line["asked_model"], **line}
