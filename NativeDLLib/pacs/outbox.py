"""The outbox on disk: each object to send lies there, with a row that says for whom, until the peer has it.

A row in an SQLite database and a copy of the object belong together. The copy is on disk before its row is
committed, and the row is gone before its copy is removed, so that a process killed at any point leaves at worst a
copy without a row, which the next one clears. A process that sends claims rows by writing itself into them; the
claim of a process that no longer lives counts for nothing.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.errors import InputError, PacsError
from NativeDLLib.files import atomic_path, sha256
from NativeDLLib.pacs.claims import is_live, new_claim
from NativeDLLib.pacs.headers import read_header

FIRST_DELAY_S = 30.0
LONGEST_DELAY_S = 3600.0
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
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'unclear')),
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    next_attempt REAL NOT NULL,
    claim TEXT,
    UNIQUE (peer, sop_instance_uid)
)
"""
_COLUMNS = "id, peer, sop_instance_uid, study_uid, series_uid, file, state, attempts, reason, created, next_attempt, claim"


@dataclass(frozen=True)
class Entry:
    """One object in the outbox.

    ``state`` is ``waiting``, ``sending``, or ``unclear`` when an attempt ended without the peer's answer; times are
    seconds since the epoch.
    """

    id: int
    peer: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    file: str
    state: str
    attempts: int
    reason: str
    created: float
    next_attempt: float
    claim: str | None


def default_folder() -> Path:
    """Return the user's outbox: the folder in ``NATIVEDL_OUTBOX``, or ``~/.nativedl/outbox``."""
    chosen = os.environ.get("NATIVEDL_OUTBOX")
    return Path(chosen).expanduser() if chosen else Path.home() / ".nativedl" / "outbox"


class Outbox:
    """Objects that wait on disk for their delivery; several processes of one machine can use it at the same time.

    Parameters
    ----------
    folder
        Where the database and the copies are; without it the user's own outbox.

    Raises
    ------
    PacsError
        Here and in every method, when the folder or its database cannot be used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._copies = self.folder / "objects"
        with self._transaction() as database:
            database.execute(_SCHEMA)

    def add(self, files: Sequence[Path], peer_name: str) -> list[int]:
        """Put copies of DICOM files into the outbox, all or none.

        An object that waits for the same peer already is not added again; it becomes due at once.

        Parameters
        ----------
        files
            The objects.
        peer_name
            For whom they are.

        Returns
        -------
        list
            The id of each object in the outbox, in the order of the files.

        Raises
        ------
        InputError
            When a file is not a DICOM object, or another object with the same SOP Instance UID waits for the peer.
        """
        headers = [read_header(file) for file in files]
        made: list[Path] = []
        try:
            with self._transaction() as database:
                return [
                    self._add_one(database, file, peer_name, (header.sop_instance_uid, header.study_uid, header.series_uid), made)
                    for file, header in zip(files, headers, strict=True)
                ]
        except BaseException:
            for copy in made:
                copy.unlink(missing_ok=True)
            raise

    def list(self) -> list[Entry]:
        """Return what is in the outbox, oldest first."""
        with self._transaction() as database:
            return self._select(database, "1 ORDER BY id")

    def drop(self, ids: Collection[int]) -> list[Entry]:
        """Take objects out of the outbox without sending them, and return what they were.

        Raises
        ------
        PacsError
            When one of them is being sent; nothing is dropped then.
        """
        with self._transaction() as database:
            entries = [entry for entry in self._select(database, "1") if entry.id in ids]
            for entry in entries:
                if is_live(entry.claim):
                    raise PacsError(f"object {entry.id} is being sent by another process; stop that one first")
            database.executemany("DELETE FROM objects WHERE id = ?", [(entry.id,) for entry in entries])
        for entry in entries:
            self.copy_of(entry).unlink(missing_ok=True)
        return entries

    def copy_of(self, entry: Entry) -> Path:
        """Return the path of an object's copy."""
        return self._copies / entry.file

    @contextlib.contextmanager
    def claimed(self, ids: Collection[int] | None = None, only_due: bool = True) -> Iterator[list[Entry]]:
        """Claim objects for the block, so that no other process sends them meanwhile.

        Parameters
        ----------
        ids
            Which; None for all.
        only_due
            Leave out those whose next attempt lies in the future.
        """
        claim = new_claim()
        with self._transaction() as database:
            self._recover(database)
            latest = time.time() if only_due else float("inf")
            free = self._select(database, "claim IS NULL AND next_attempt <= ? ORDER BY id", latest)
            chosen = [entry for entry in free if ids is None or entry.id in ids]
            database.executemany("UPDATE objects SET claim = ? WHERE id = ?", [(claim, entry.id) for entry in chosen])
        try:
            yield chosen
        finally:
            with self._transaction() as database:
                database.execute(
                    "UPDATE objects SET claim = NULL, state = iif(state = 'sending', 'unclear', state) WHERE claim = ?",
                    (claim,),
                )

    def mark_sending(self, entry: Entry) -> None:
        """Note that an object goes on its way: should we die before the peer's answer, it may have arrived."""
        with self._transaction() as database:
            database.execute("UPDATE objects SET state = 'sending' WHERE id = ?", (entry.id,))

    def mark_delivered(self, entry: Entry) -> None:
        """Take out an object that the peer has."""
        with self._transaction() as database:
            database.execute("DELETE FROM objects WHERE id = ?", (entry.id,))
        self.copy_of(entry).unlink(missing_ok=True)

    def mark_failed(self, entry: Entry, reason: str, unclear: bool = False) -> None:
        """Keep an object with the reason why it was not delivered; the next attempt comes after twice the last delay."""
        delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(entry.attempts, 20))
        with self._transaction() as database:
            database.execute(
                "UPDATE objects SET state = ?, attempts = attempts + 1, reason = ?, next_attempt = ? WHERE id = ?",
                ("unclear" if unclear else "waiting", reason, time.time() + delay, entry.id),
            )

    def _add_one(
        self, database: sqlite3.Connection, file: Path, peer: str, uids: tuple[str, str, str], made: list[Path]
    ) -> int:
        digest = sha256(file)
        there = database.execute(
            "SELECT id, sha256 FROM objects WHERE peer = ? AND sop_instance_uid = ?", (peer, uids[0])
        ).fetchone()
        if there:
            if there[1] != digest:
                raise InputError(
                    f"{file}: another object with the SOP Instance UID {uids[0]} waits for {peer} in the outbox; "
                    f"give this one its own UID, or drop that one: nativedl outbox drop {there[0]}"
                )
            database.execute("UPDATE objects SET next_attempt = 0 WHERE id = ?", (there[0],))
            return int(there[0])
        copy = self._copies / f"{uuid.uuid4().hex}.dcm"
        made.append(copy)
        try:
            with atomic_path(copy) as temporary:
                temporary.write_bytes(file.read_bytes())
            _sync_folder(self._copies)
        except OSError as error:
            raise PacsError(f"{file}: cannot be copied to the outbox {self.folder}: {error.strerror or error}") from error
        cursor = database.execute(
            "INSERT INTO objects (peer, sop_instance_uid, study_uid, series_uid, sha256, file, state, created, "
            "next_attempt) VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, 0)",
            (peer, *uids, digest, copy.name, time.time()),
        )
        return int(cursor.lastrowid or 0)

    def _recover(self, database: sqlite3.Connection) -> None:
        """Undo the claims of processes that died, and clear copies whose row is gone or never came."""
        for (claim,) in database.execute("SELECT DISTINCT claim FROM objects WHERE claim IS NOT NULL").fetchall():
            if not is_live(claim):
                database.execute(
                    "UPDATE objects SET claim = NULL, state = iif(state = 'sending', 'unclear', state) WHERE claim = ?",
                    (claim,),
                )
        known = {row[0] for row in database.execute("SELECT file FROM objects")}
        if self._copies.is_dir():
            for copy in self._copies.iterdir():
                if copy.name not in known:
                    copy.unlink(missing_ok=True)

    def _select(self, database: sqlite3.Connection, condition: str, *values: object) -> list[Entry]:
        rows = database.execute(f"SELECT {_COLUMNS} FROM objects WHERE {condition}", values)
        return [Entry(*row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction that excludes other processes and is on disk when it ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # patients' data: for the user's eyes only
            with contextlib.closing(
                sqlite3.connect(self.folder / "outbox.sqlite", timeout=_BUSY_S, isolation_level=None)
            ) as database:
                # EXTRA is FULL that also survives a power cut just after the commit.
                database.execute("PRAGMA synchronous = EXTRA")
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise PacsError(f"{self.folder}: the outbox cannot be used: {error}") from error


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk, where the system can (Windows does so itself)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
