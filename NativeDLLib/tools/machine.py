"""The computer, as a run may use it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Device, memory and turn of a run."""

    device: str = "auto"  # device of the network; see `check_device`
    max_memory: int | None = None  # bytes of main memory that this process may have; None for no limit
    turns: tuple[Path, ...] = ()  # files, one of which is held while the network runs; see `take_turn`
