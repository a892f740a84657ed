"""What a server gives to its clients, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """How a server works.

    Attributes
    ----------
    folder
        Where each request has a folder of its own while it lasts.
    device
        As for ``nativedl run``.
    jobs, queue
        How many predictions run at a time, and how many more may wait.
    max_upload, max_parts
        Largest body in bytes, and the most files in it.
    max_memory
        What one prediction may take, in bytes: a small file can unpack into a very large one.
    timeout
        Seconds that a prediction may take, and an upload as well.
    tokens
        SHA-256 digests of the tokens; empty where none is asked for.
    names
        Names under which the server may be asked for; empty for any. On loopback this keeps web pages out that have
        their own name point there.
    log
        Takes one row for each request. Nothing of the images is in it.
    """

    folder: Path
    log: Log
    device: str = "auto"
    jobs: int = 1
    queue: int = 8
    max_upload: int = 2**30
    max_parts: int = 10_000
    max_memory: int = 2**34
    timeout: float = 3600.0
    tokens: tuple[bytes, ...] = ()
    names: frozenset[str] = frozenset()
