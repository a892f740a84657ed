"""The computer, as a run may use it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Device, memory and turn of a run.

    Attributes
    ----------
    device
        Device of the network; see `check_device`.
    max_memory
        Bytes of main memory that this process may have; None for no limit.
    turns
        Files, one of which is held while the network runs; see `take_turn`.
    """

    device: str = "auto"
    max_memory: int | None = None
    turns: tuple[Path, ...] = ()
