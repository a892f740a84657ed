"""Progress shown to a person at a terminal, or to a program as JSON lines."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any, TextIO

from tqdm import tqdm

from NativeDLLib.core.progress import Progress


class JsonProgress(Progress):
    """Events as JSON lines, for the program that started this one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()

    def show(self, event: dict[str, Any]) -> None:
        """Write one line and flush it, so that the reader is never behind."""
        with self._lock:
            self._stream.write(json.dumps(event, ensure_ascii=True, default=str) + "\n")
            self._stream.flush()


class TerminalProgress(Progress):
    """Progress bars and warnings on stderr, for a person; the commands print results."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None

    def show(self, event: dict[str, Any]) -> None:
        """Draw the event."""
        kind = event["event"]
        if kind == "progress":
            self._draw(event["stage"], event["fraction"])
            return
        if kind == "case":
            self._draw("cases", (event["done"] + event["failed"]) / event["total"])
            return
        self._close()
        if kind in ("warning", "error"):
            text = "; ".join(filter(None, (event["message"], event["hint"])))
            self._stream.write(f"nativedl: {kind}: {text}\n")
            self._stream.flush()

    def _draw(self, stage: str, fraction: float) -> None:
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
