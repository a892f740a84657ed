"""Where the series is that a result was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.core.errors import UsageError
from NativeDLLib.source import Series
from NativeDLLib.source.file_list import local_files


@dataclass(frozen=True)
class Where:
    """Where a series is: in files and folders, a list of files, or Slicer's database; one of the three."""

    inputs: tuple[Path, ...] = ()
    file_list: Path | None = None
    database: Path | None = None

    def check(self) -> None:
        """Raise a `UsageError` where not exactly one of the three is named."""
        if sum([bool(self.inputs), self.file_list is not None, self.database is not None]) != 1:
            raise UsageError("name where the series is: --input PATH..., --files LIST, or --database FILE")

    def read(self, uid: str) -> Series:
        """Read a series.

        Raises
        ------
        UsageError
            Where not exactly one of the three is named.
        InputError
            Where the series is not there.
        """
        self.check()
        return Series.read(local_files(self.inputs, self.file_list, self.database, uid), uid)
