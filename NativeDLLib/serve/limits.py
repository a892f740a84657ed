"""Limits on the clients of a server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """Settings of a server."""

    folder: Path  # folder in which each request has one of its own while it lasts
    log: Log  # function that takes a row for each request, without anything of the images
    device: str = "auto"
    jobs: int = 1  # predictions that run at a time
    queue: int = 8  # more of them that may wait
    max_upload: int = 2**30  # largest body in bytes
    max_parts: int = 10_000  # most files in it
    max_memory: int = 2**34  # bytes that one prediction may take: a small file can unpack into a very large one
    certificate: Path | None = None  # PEM files of certificate chain and key, for TLS
    key: Path | None = None
    timeout: float = 3600.0  # seconds that a prediction may take, and an upload as well
    tokens: tuple[bytes, ...] = ()  # SHA-256 digests of the tokens; empty where none is asked for
    # Host names of the server; empty for any. On loopback they keep out web pages whose own name points there.
    names: frozenset[str] = frozenset()
