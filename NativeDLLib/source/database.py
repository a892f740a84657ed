"""Slicer's DICOM database (CTK, ``ctkDICOM.sql``), read without ever writing to it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import InputError

# CTK's own names are given those of DICOM. Dates are numbers in some rows and texts, also with hyphens, in others.
_SERIES = """
    SELECT Patients.PatientsName AS PatientName, Patients.PatientID, Studies.StudyDate, Studies.StudyDescription,
        Studies.StudyInstanceUID, Series.SeriesNumber, Series.SeriesDescription, Series.Modality,
        Series.SeriesInstanceUID, COALESCE(Counts.Instances, 0) AS instances
    FROM Series
    LEFT JOIN Studies ON Series.StudyInstanceUID = Studies.StudyInstanceUID
    LEFT JOIN Patients ON Studies.PatientsUID = Patients.UID
    LEFT JOIN (SELECT SeriesInstanceUID, COUNT(*) AS Instances FROM Images GROUP BY SeriesInstanceUID) Counts
        ON Counts.SeriesInstanceUID = Series.SeriesInstanceUID
    ORDER BY REPLACE(Studies.StudyDate, '-', '') DESC, Studies.StudyInstanceUID, Series.SeriesNumber
"""
_PATIENCE_S = 10


def series_files(database: Path, series_uid: str) -> list[Path]:
    """Files of a series that Slicer has imported or indexed in ``ctkDICOM.sql``, or in the folder that holds it.
    InputError where it is no such database, the series is not in it, or files of it are gone.
    """
    with _opened(database) as (path, connection):
        query = "SELECT Filename FROM Images WHERE SeriesInstanceUID = ? ORDER BY SOPInstanceUID"
        rows = connection.execute(query, (series_uid,)).fetchall()
        known = [uid for (uid,) in connection.execute("SELECT SeriesInstanceUID FROM Series LIMIT 20")]
    if not rows:
        raise InputError(f"{path}: holds no series {series_uid}; it holds {', '.join(known) or 'none'}")
    # CTK stores what it imported relative to the database and what it only indexed with the full path.
    files = [path.parent / name for (name,) in rows if name and isinstance(name, str)]
    gone = [file for file in files if not file.is_file()] if len(files) == len(rows) else [path.parent]
    if gone:
        raise InputError(f"{path}: {len(gone)} of {len(rows)} files of series {series_uid} are gone, first {gone[0]}")
    return files


def list_series(database: Path, modalities: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Series of Slicer's database, the newest study first, optionally of some modalities. Each has its patient, study
    and series attributes by DICOM keyword, as text, and the number of its ``instances``.
    """
    with _opened(database) as (_, connection):
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(_SERIES)]
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    listed = [text | {"instances": row["instances"]} for text, row in zip(texts, rows, strict=True)]
    return [row for row in listed if not modalities or row["Modality"] in modalities]


@contextmanager
def _opened(database: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    path = database / "ctkDICOM.sql" if database.is_dir() else database
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give Slicer's ctkDICOM.sql or its folder")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_S)
        # A name in a wrong character set is no reason to show none of the others.
        connection.text_factory = lambda text: text.decode(errors="replace")
        try:
            yield path, connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise InputError(f"{path}: is being written to by another program; try again") from error
        problem = "is not a DICOM database of Slicer, or one that is damaged or must not be read"
        raise InputError(f"{path}: {problem}") from error
