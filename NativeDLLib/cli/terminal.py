"""Text for a terminal or a pipe: it cannot steer them, they can show it, and a reader that is gone is no error."""

import errno
import os
import unicodedata
from contextlib import suppress
from typing import TextIO


def shown(text: str) -> str:
    """Return text with all that steers a terminal, ends a line or turns the direction of reading as escapes."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode() for c in text
    )


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
