"""Remarks of decoders written in C, which go to the process's stderr past Python."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
# The file descriptor is the process's: two readers at a time would give it back in the wrong order.
_one_at_a_time = threading.Lock()


@contextmanager
def decoder_remarks() -> Iterator[list[str]]:
    """Keep what is written to the process's stderr during the block, and give its lines when it ends."""
    remarks: list[str] = []
    with _one_at_a_time, tempfile.TemporaryFile() as kept:
        try:
            before = os.dup(_STDERR)
        except OSError:
            # Without a stderr, as in a program with windows only, nothing is written to it either.
            yield remarks
            return
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield remarks
        finally:
            os.dup2(before, _STDERR)
            os.close(before)
        kept.seek(0)
        lines = kept.read().decode("utf-8", "replace").splitlines()
        remarks += dict.fromkeys(line.strip() for line in lines if line.strip())
