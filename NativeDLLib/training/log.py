"""The log of a training: one line of ``log.csv`` a step."""

import csv
from pathlib import Path
from types import TracebackType

from NativeDLLib.core.files import write_text

LOG = "log.csv"
_COLUMNS = ("step", "loss", "learning_rate", "seconds")


class Log:
    """Writes the log; what it already says of steps after `step` belonged to work that was lost."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / LOG
        kept = self._path.read_text(encoding="utf-8").splitlines()[1 : step + 1] if step and self._path.exists() else []
        write_text(self._path, "\n".join([",".join(_COLUMNS), *kept]) + "\n")

    def __enter__(self) -> "Log":
        self._stream = self._path.open("a", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.writer(self._stream, lineterminator="\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, step: int, loss: float, learning_rate: float, seconds: float) -> None:
        """Add a step; `seconds` are counted from the start of the training."""
        self._writer.writerow([step, repr(loss), f"{learning_rate:.3g}", f"{seconds:.1f}"])
