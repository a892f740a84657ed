"""The database of the outbox: one row for each object, changed in transactions that are on disk when they end."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.core.errors import PacsError

_BUSY_S = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    peer TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    study_uid TEXT NOT NULL,
    series_uid TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    file TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'unclear')),
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    next_attempt REAL NOT NULL DEFAULT 0,
    claim TEXT,
    UNIQUE (peer, sop_instance_uid)
)
"""


@dataclass(frozen=True)
class Entry:
    """One object in the outbox."""

    peer: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    sha256: str
    file: str
    created: float  # in seconds since the epoch
    state: str  # waiting, sending, or unclear after an attempt without the peer's answer
    attempts: int
    reason: str
    next_attempt: float
    claim: str | None  # names the sending process
    id: int


class Ledger:
    """One open transaction on the rows of an outbox."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def entries(self) -> list[Entry]:
        """Return all rows, oldest first."""
        return self._select("1 ORDER BY id")

    def insert(self, **values: object) -> Entry:
        """Add a row and return it whole."""
        columns, places = ", ".join(values), ", ".join("?" for _ in values)
        cursor = self._database.execute(f"INSERT INTO objects ({columns}) VALUES ({places})", (*values.values(),))
        return self._select("id = ?", cursor.lastrowid)[0]

    def update(self, identifier: int, **values: object) -> None:
        """Change columns of a row."""
        changes = ", ".join(f"{column} = ?" for column in values)
        self._database.execute(f"UPDATE objects SET {changes} WHERE id = ?", (*values.values(), identifier))

    def delete(self, identifier: int) -> None:
        """Remove a row."""
        self._database.execute("DELETE FROM objects WHERE id = ?", (identifier,))

    def release(self, claim: str) -> None:
        """Undo a claim; what was on its way may have arrived or not."""
        self._database.execute(
            "UPDATE objects SET claim = NULL, state = CASE state WHEN 'sending' THEN 'unclear' ELSE state END "
            "WHERE claim = ?",
            (claim,),
        )

    def _select(self, condition: str, *values: object) -> list[Entry]:
        columns = ", ".join(Entry.__dataclass_fields__)
        rows = self._database.execute(f"SELECT {columns} FROM objects WHERE {condition}", values)
        return [Entry(*row) for row in rows]


@contextlib.contextmanager
def transaction(folder: Path) -> Iterator[Ledger]:
    """Ledger in a transaction that keeps other processes out and is on disk at the end; PacsError if unusable."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # patients' data: for the user's eyes only
        connection = sqlite3.connect(folder / "outbox.sqlite", timeout=_BUSY_S, isolation_level=None)
        with contextlib.closing(connection) as database:
            # As safe from a power cut as a journal that is removed, which would be one more write to the folder.
            database.execute("PRAGMA journal_mode = PERSIST")
            database.execute("PRAGMA synchronous = EXTRA")
            database.execute("BEGIN IMMEDIATE")
            try:
                database.execute(_SCHEMA)
                yield Ledger(database)
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise PacsError(f"{folder}: the outbox cannot be used: {error}") from error
