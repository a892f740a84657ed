"""Slicer's DICOM database (CTK, ``ctkDICOM.sql``), read without ever writing to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from NativeDLLib.errors import InputError


def series_files(database: Path, series_uid: str) -> list[Path]:
    """Return the files of a series that Slicer has imported or indexed.

    Parameters
    ----------
    database
        The file ``ctkDICOM.sql``, or the folder that holds it.
    series_uid
        Series Instance UID.

    Raises
    ------
    InputError
        Where it is not such a database, the series is not in it, or files of it are gone.
    """
    with _opened(database) as (path, connection):
        rows = connection.execute(
            "SELECT Filename FROM Images WHERE SeriesInstanceUID = ? ORDER BY SOPInstanceUID", (series_uid,)
        ).fetchall()
        known = [uid for (uid,) in connection.execute("SELECT SeriesInstanceUID FROM Series LIMIT 20")]
    if not rows:
        raise InputError(f"{path}: holds no series {series_uid}; it holds {', '.join(known) or 'none'}")
    # CTK stores what it imported relative to the database and what it only indexed with the full path.
    files = [path.parent / name for (name,) in rows if name and isinstance(name, str)]
    gone = [file for file in files if not file.is_file()] if len(files) == len(rows) else [path.parent]
    if gone:
        raise InputError(f"{path}: {len(gone)} of {len(rows)} files of series {series_uid} are gone, first {gone[0]}")
    return files


def all_series(database: Path) -> list[tuple[str, str, str]]:
    """Return UID, Modality and Series Description of every series in the database; see `series_files`."""
    with _opened(database) as (_, connection):
        rows = connection.execute(
            "SELECT SeriesInstanceUID, Modality, SeriesDescription FROM Series ORDER BY SeriesInstanceUID"
        ).fetchall()
    return [(str(uid), str(modality or ""), str(description or "")) for uid, modality, description in rows]


@contextmanager
def _opened(database: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    path = database / "ctkDICOM.sql" if database.is_dir() else database
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give Slicer's ctkDICOM.sql or its folder")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            yield path, connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise InputError(f"{path}: is not a DICOM database of Slicer ({error})") from error
