"""A cohort that a person lists in a CSV file."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from NativeDLLib.batch.cohort import Case, Cohort, digest_name
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.uids import is_uid

COLUMNS = ("path", "study", "series", "model", "id")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def from_csv(table: Path, place: Sequence[str]) -> Cohort:
    """A case of every row of a CSV file in UTF-8, with commas or semicolons. Its columns are ``path`` (relative to the
    table's folder), ``series`` and ``study`` (UIDs), ``model`` (registry id) and ``id`` (name of the result's folder).
    `place` are the arguments of ``nativedl run`` for series without a path. UsageError names the line that is wrong.
    """
    try:
        text = table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{table}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{table}: is not UTF-8 text (byte {error.start})") from error
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in head else ",", strict=True)
    cohort, lines = Cohort(), dict[str, int]()
    try:
        columns = _columns(table, next(reader, []))
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{table}: line {reader.line_num}"
            if len(row) != len(columns):
                raise UsageError(f"{where}: has {len(row)} cells, the first line has {len(columns)}")
            case = _case({c: cell.strip() for c, cell in zip(columns, row, strict=True)}, table.parent, place, where)
            first = lines.setdefault(case.name.lower(), reader.line_num)
            if first != reader.line_num:
                raise UsageError(f"{where}: is the same case as line {first}; give each its own id")
            cohort.cases.append(case)
    except csv.Error as error:
        raise UsageError(f"{table}: line {reader.line_num}: {error}") from error
    return cohort


def _columns(table: Path, names: Sequence[str]) -> list[str]:
    columns = [name.strip().lower() for name in names]
    for name in columns:
        if name not in COLUMNS or columns.count(name) > 1:
            wrong = "is there twice" if name in COLUMNS else f"is not known; there are {', '.join(COLUMNS)}"
            raise UsageError(f"{table}: line 1: the column '{name[:64]}' {wrong}")
    if not {"path", "series"} & set(columns):
        raise UsageError(f"{table}: line 1: names neither a column 'path' nor 'series'")
    return columns


def _case(row: dict[str, str], folder: Path, place: Sequence[str], where: str) -> Case:
    path, study, series, name = (row.get(column, "") for column in ("path", "study", "series", "id"))
    for column, uid in (("study", study), ("series", series)):
        if uid and not is_uid(uid):
            raise UsageError(f"{where}: {column}: '{uid[:64]}' is not a UID")
    if name and not _ID.fullmatch(name):
        raise UsageError(f"{where}: id: '{name[:64]}' is not made of up to 64 letters, digits, '-' and '_'")
    if path:
        source = ["--input", str((folder / path).resolve())]
    elif not series:
        raise UsageError(f"{where}: has neither a path nor a series")
    elif not place:
        told = f"{where}: has no path, and no place to look for its series is named"
        raise UsageError(told, hint="name it with --database FILE or --from PEER")
    elif place[0] == "--from" and not study:
        raise UsageError(f"{where}: has no study, which a peer is asked for")
    else:
        source = [*place, *(["--study", study] if place[0] == "--from" else [])]
    source += ["--series", series] if series else []
    return Case(name or series or digest_name("row", source[1]), tuple(source), row.get("model") or None)
