"""Progress for a person at a terminal, or for a program as JSON lines; no text can steer the terminal."""

import errno
import json
import os
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from NativeDLLib.core.progress import Progress

if TYPE_CHECKING:
    from NativeDLLib.results.report import Report


class JsonProgress(Progress):
    """Events as JSON lines, for the program that started this one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()

    def show(self, event: dict[str, Any]) -> None:
        """Write one line and flush it, so that the reader is never behind."""
        with self._lock:
            write_line(self._stream, json.dumps(event, default=str))


class TerminalProgress(Progress):
    """Progress for a person: bars and messages on `stream`, by default stderr, and results on stdout. `quiet` shows
    errors and results alone, `verbose` each stage on a line of its own, `as_json` results as JSON.
    """

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False, as_json: bool = False
    ) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._quiet, self._verbose, self._as_json = quiet, verbose, as_json
        self._bar: tqdm[Any] | None = None

    def result(self, report: dict[str, Any], *lines: str) -> None:
        """Write the result to stdout."""
        self._close()
        for line in json.dumps(report, indent=2, default=str).splitlines() if self._as_json else lines:
            write_line(sys.stdout, line)

    def show(self, event: dict[str, Any]) -> None:
        """Draw the event."""
        kind = event["event"]
        if kind == "progress":
            self._draw(event["stage"], event["fraction"])
        elif kind == "case":
            self._draw("cases", (event["done"] + event["failed"]) / event["total"])
        elif kind != "decode":
            self._close()
            if line := self._line(kind, event):
                write_line(self._stream, line)

    def _line(self, kind: str, event: dict[str, Any]) -> str:
        if kind in ("warning", "error"):
            told = "; ".join(filter(None, (event["message"], event["hint"])))
            return f"nativedl: {kind}: {told}" if kind == "error" or not self._quiet else ""
        if kind == "stage":
            return f"nativedl: {event['stage']}" if self._verbose else ""
        return "" if self._quiet else " ".join(map(str, event.values()))

    def _draw(self, stage: str, fraction: float) -> None:
        if self._quiet:
            return
        if self._bar is None:
            self._bar = tqdm(
                total=1.0,
                initial=fraction,  # what was done before says nothing about the pace
                desc=stage,
                file=self._stream,
                leave=False,
                disable=None,  # nothing but messages where stderr is a file
                bar_format="{desc} {percentage:3.0f}%|{bar}| {remaining} left",
            )
        self._bar.n = fraction
        self._bar.refresh()
        if fraction >= 1:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def stage_lines(report: dict[str, Any]) -> Iterator[str]:
    """Give a line for each stage of a report."""
    for stage in report["stages"]:
        yield f"  {stage['name']:<24}{stage['seconds']:10.2f} s    {stage['peak_mib']:8.0f} MiB"


def file_lines(report: "Report") -> Iterator[str]:
    """Give a line for each file of a report, and one for the peer that they were sent to."""
    yield from (f"{name}: {path}" for name, path in report.files.items())
    if report.sent:
        yield f"sent to {report.sent.peer}"


def shown(text: str) -> str:
    """Return text with all that steers a terminal, ends a line or turns the direction of reading as escapes."""
    plain = [c.isprintable() or unicodedata.category(c) == "Zs" for c in text]
    return "".join(c if keep else c.encode("unicode_escape").decode() for c, keep in zip(text, plain, strict=True))


def write_line(stream: TextIO, text: str) -> None:
    """Write text as one line; characters that the stream cannot encode are written as escapes."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(shown(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except OSError as error:
        # Windows says of a closed pipe that the argument is wrong.
        if error.errno not in (errno.EPIPE, errno.EINVAL):
            raise
        _silence(stream)


def flush(stream: TextIO) -> None:
    """Flush a stream, which Python would do at its end, and complain where the reader is gone."""
    try:
        stream.flush()
    except OSError:
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Send to nowhere what is written from now on."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
