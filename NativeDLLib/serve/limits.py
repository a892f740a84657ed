"""Limits on the clients of a server: for how much they may ask, and who may, by a file with a token a line."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import UsageError

_SHORTEST = 16
# What RFC 6750 allows in a header.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
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


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """Digests of the tokens in a file, one a line; lines that start with # are comments. UsageError where there is no
    token, or one that is too short or cannot be sent.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read (it is no text in UTF-8)") from error
    digests = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        if len(line) < _SHORTEST or not _TOKEN.fullmatch(line):
            raise UsageError(
                f"{path}: line {number}: a token has at least {_SHORTEST} letters, digits or ._~+/-; "
                "'openssl rand -hex 32' makes one"
            )
        digests.append(_digest(line))
    if not digests:
        raise UsageError(f"{path}: holds no token; write one a line")
    return tuple(digests)


def _digest(token: str) -> bytes:
    # The token itself is not kept.
    return hashlib.sha256(token.encode(errors="replace")).digest()


def is_known(token: str, digests: Sequence[bytes]) -> bool:
    """Tell whether a token is one of those, in a time that does not say how near it is to one."""
    given = _digest(token)
    # A list, not a generator: all are compared whichever is the right one.
    return any([hmac.compare_digest(given, known) for known in digests])


def is_loopback(host: str) -> bool:
    """Tell whether a host is this computer and no other can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
