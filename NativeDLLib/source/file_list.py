"""Where the files of a series are: named one by one, in folders, in a list, or in Slicer's database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.source.database import series_files

_LONGEST_LIST = 64 * 2**20


def local_files(
    inputs: Sequence[Path], file_list: Path | None, database: Path | None, series_uid: str | None
) -> list[Path]:
    """Return the files and folders to look for a series in; one of the first three arguments names them.

    Raises
    ------
    UsageError
        Where a database is given without a series.
    InputError
        Where the list, the database or a file that they name is not there.
    """
    if file_list is not None:
        return read_list(file_list)
    if database is None:
        return list(inputs)
    if not series_uid:
        raise UsageError("--database needs --series")
    return series_files(database, series_uid)


def read_list(path: Path) -> list[Path]:
    """Return the files that a text file names, one a line (UTF-8).

    A command line has a limited length, and a series may have thousands of files. Names are relative to the current
    folder, as they would be on the command line.

    Raises
    ------
    InputError
        Where the list cannot be read, is empty, or names a file that is not there.
    """
    try:
        if path.stat().st_size > _LONGEST_LIST:
            raise InputError(f"{path}: is larger than {_LONGEST_LIST // 2**20} MiB; a list names one file a line")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}); a list names one file a line") from error
    named = [(number, Path(line.strip())) for number, line in enumerate(lines, 1) if line.strip()]
    if not named:
        raise InputError(f"{path}: names no file; a list names one file a line")
    for number, file in named:
        if not file.exists():
            raise InputError(f"{path}: line {number}: {file}: does not exist")
    return [file for _, file in named]
