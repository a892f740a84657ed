"""Who is sending: a claim names a process in a way that its death, even by a kill, makes void."""

from __future__ import annotations

import os
import uuid

import psutil

# A clock that is being adjusted shifts the start times that the system reports.
_START_TOLERANCE_S = 2.0


def new_claim() -> str:
    """Make a claim for this process: its id and start time, because ids are used again, and a word of its own."""
    return f"{os.getpid()} {psutil.Process().create_time():.3f} {uuid.uuid4().hex}"


def is_live(claim: str | None) -> bool:
    """Tell whether the process that made the claim still runs."""
    if claim is None:
        return False
    pid, started, _ = claim.split(" ")
    try:
        process = psutil.Process(int(pid))
        running = process.status() != psutil.STATUS_ZOMBIE
        return running and abs(process.create_time() - float(started)) <= _START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it runs, as another user
        return True
