"""Outcome of storing one object at a peer."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.core.progress import Progress


@dataclass(frozen=True)
class StoreOutcome:
    """A peer's answer for one object. ``status`` is the C-STORE status or STOW-RS failure reason, None without an
    answer. ``unclear`` means that the connection was lost while the object was on its way.
    """

    path: Path
    sop_instance_uid: str
    status: int | None
    ok: bool
    message: str
    unclear: bool = False


def collect(outcomes: Iterable[StoreOutcome], count: int, progress: Progress) -> list[StoreOutcome]:
    """Gather the `count` outcomes with progress, checking for cancellation before each object is sent."""
    progress.check()
    gathered: list[StoreOutcome] = []
    for outcome in outcomes:
        gathered.append(outcome)
        progress.update("store", len(gathered) / count)
        progress.check()
    return gathered
