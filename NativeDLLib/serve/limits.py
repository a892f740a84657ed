"""Limits on the clients of a server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Attributes
    ----------
    folder
        Folder in which each request has one of its own while it lasts.
    device
        Device of the runs.
    jobs, queue
        Numbers of predictions that run at a time, and that may wait.
    max_upload, max_parts
        Largest body in bytes, and the most files in it.
    max_memory
        Bytes that one prediction may take: a small file can unpack into a very large one.
    timeout
        Seconds that a prediction may take, and an upload as well.
    tokens
        SHA-256 digests of the tokens; empty where none is asked for.
    names
        Host names of the server; empty for any. On loopback they keep out web pages whose own name points there.
    log
        Function that takes a row for each request, without anything of the images.
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
