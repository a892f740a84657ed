"""Who may ask: a file with a token a line, one of which comes with each request."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from NativeDLLib.core.errors import UsageError

_SHORTEST = 16
# What RFC 6750 allows in a header.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """Digests of the tokens in a file, one a line; lines that start with # are comments. UsageError where there is no
    token, or one that is too short or cannot be sent.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    digests = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        if len(line) < _SHORTEST or not _TOKEN.fullmatch(line):
            raise UsageError(
                f"{path}: line {number}: a token has at least {_SHORTEST} letters, digits or ._~+/-; "
                "'openssl rand -hex 32' makes one"
            )
        digests.append(digest(line))
    if not digests:
        raise UsageError(f"{path}: holds no token; write one a line")
    return tuple(digests)


def digest(token: str) -> bytes:
    """SHA-256 of a token; the token itself is not kept."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def is_known(token: str, digests: Sequence[bytes]) -> bool:
    """Tell whether a token is one of those, in a time that does not say how near it is to one."""
    given = digest(token)
    # A list, not a generator: all are compared whichever is the right one.
    return any([hmac.compare_digest(given, known) for known in digests])


def is_loopback(host: str) -> bool:
    """Tell whether a host is this computer and no other can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
