"""The outbox on disk: each object to send, with a row that names its peer, until the peer has it.

A row in an SQLite database and a copy of the object belong together. The copy is on disk before its row is committed,
and the row is gone before its copy is removed. A process killed at any point leaves at worst a copy without a row,
which the next one clears. A sending process claims rows; the claim of a dead one counts for nothing.
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from NativeDLLib.core.errors import InputError, PacsError
from NativeDLLib.core.files import atomic_path, sha256
from NativeDLLib.core.locking import held, is_held
from NativeDLLib.core.places import kept
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.identity import read_identity
from NativeDLLib.pacs.ledger import Entry, Ledger, transaction

FIRST_DELAY_S = 30.0
LONGEST_DELAY_S = 3600.0
_POLL_S = 0.05
_COPIES_AT_A_TIME = 8


class Outbox:
    """Objects that wait on disk for their delivery; several processes of one machine share it. `folder` holds the
    database and the copies, by default the user's own. Every method raises PacsError where it cannot be used.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or kept("outbox")
        self._copies = self.folder / "objects"

    def add(self, files: Sequence[Path], peer_name: str) -> list[int]:
        """Put copies of DICOM files into the outbox, all or none, and return their ids. An object that waits for the
        same peer already becomes due at once. InputError where a file is no DICOM object, or another object with the
        same SOP Instance UID waits for the peer.
        """
        headers = [read_identity(file) for file in files]
        made: list[tuple[Path, Path]] = []
        try:
            with transaction(self.folder) as ledger:
                waiting = {entry.sop_instance_uid: entry for entry in ledger.entries() if entry.peer == peer_name}
                ids = []
                for file, header in zip(files, headers, strict=True):
                    digest = sha256(file)
                    there = waiting.get(header.sop_instance_uid)
                    if there is None:
                        copy = self._copies / f"{uuid.uuid4().hex}.dcm"
                        made.append((file, copy))
                        uids = {name: getattr(header, name) for name in ("sop_instance_uid", "study_uid", "series_uid")}
                        row = {"sha256": digest, "file": copy.name, "created": time.time()}
                        there = ledger.insert(peer=peer_name, **uids, **row)
                        waiting[there.sop_instance_uid] = there
                    elif there.sha256 == digest:
                        ledger.update(there.id, next_attempt=0)
                    else:
                        raise InputError(
                            f"{file}: another object with the SOP Instance UID {there.sop_instance_uid} waits for "
                            f"{peer_name}; give this one its own",
                            hint=f"or drop that one with: nativedl outbox drop {there.id}",
                        )
                    ids.append(there.id)
                self._copy(made)
                return ids
        except BaseException:
            for _, copy in made:
                copy.unlink(missing_ok=True)
            raise

    def entries(self) -> list[Entry]:
        """Entries of the outbox, oldest first."""
        with transaction(self.folder) as ledger:
            return ledger.entries()

    def copy_of(self, entry: Entry) -> Path:
        """Return the path of an object's copy."""
        return self._copies / entry.file

    def drop(self, ids: Collection[int]) -> list[Entry]:
        """Remove objects unsent and return them; PacsError, and nothing is removed, where one is being sent."""
        with transaction(self.folder) as ledger:
            entries = [entry for entry in ledger.entries() if entry.id in ids]
            for entry in entries:
                if self._is_live(entry.claim):
                    raise PacsError(f"object {entry.id} is being sent by another process; stop that one first")
                ledger.delete(entry.id)
        for entry in entries:
            self._remove_copy(entry.file)
        return entries

    @contextlib.contextmanager
    def claimed(self, ids: Collection[int] | None = None, only_due: bool = True) -> Iterator[list[Entry]]:
        """Claim on objects for the block, which no other process sends then; parameters as in `delivery.send`."""
        with transaction(self.folder):  # makes the folder
            claim = f"{uuid.uuid4().hex}.claim"
        with held(self.folder / claim):
            with transaction(self.folder) as ledger:
                self._recover(ledger)
                latest = time.time() if only_due else float("inf")
                free = [entry for entry in ledger.entries() if entry.claim is None and entry.next_attempt <= latest]
                chosen = [entry for entry in free if ids is None or entry.id in ids]
                for entry in chosen:
                    ledger.update(entry.id, claim=claim)
            try:
                yield chosen
            finally:
                with transaction(self.folder) as ledger:
                    ledger.release(claim)

    def wait_for_others(self, ids: Collection[int], progress: Progress) -> bool:
        """Wait until no other process sends any of these objects; True where one did."""
        waited = False
        while any(entry.id in ids and self._is_live(entry.claim) for entry in self.entries()):
            waited = True
            progress.check()
            time.sleep(_POLL_S)
        return waited

    def mark_sending(self, entry: Entry) -> None:
        """Note that an object goes on its way: should we die before the peer's answer, it may have arrived."""
        with transaction(self.folder) as ledger:
            ledger.update(entry.id, state="sending")

    def mark_delivered(self, entry: Entry, following: Entry | None = None) -> None:
        """Take out an object that the peer has; with it, note that the `following` one goes on its way."""
        with transaction(self.folder) as ledger:
            ledger.delete(entry.id)
            if following is not None:
                ledger.update(following.id, state="sending")
        self._remove_copy(entry.file)

    def mark_failed(self, entry: Entry, reason: str, unclear: bool) -> None:
        """Keep an object with the reason why it was not delivered; the delay to the next attempt doubles."""
        state, attempts = "unclear" if unclear else "waiting", entry.attempts + 1
        delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(entry.attempts, 20))
        with transaction(self.folder) as ledger:
            ledger.update(entry.id, state=state, attempts=attempts, reason=reason, next_attempt=time.time() + delay)

    def _copy(self, made: Sequence[tuple[Path, Path]]) -> None:
        """Copy files, and return when the copies and their names are on disk."""
        if not made:
            return
        # Each waits for the disk, which writes several at a time as fast as one.
        with ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
            list(pool.map(_copy_whole, *zip(*made, strict=True)))
        if os.name == "posix":  # Windows puts names on disk with the file
            handle = os.open(self._copies, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _recover(self, ledger: Ledger) -> None:
        """Undo the claims of processes that died, and clear copies whose row is gone or never came."""
        entries = ledger.entries()
        for claim in {entry.claim for entry in entries if entry.claim and not self._is_live(entry.claim)}:
            ledger.release(claim)
        for left in self.folder.glob("*.claim"):
            if not is_held(left):
                with contextlib.suppress(OSError):
                    left.unlink()
        known = {entry.file for entry in entries}
        for copy in self._copies.glob("*"):
            if copy.name not in known:
                self._remove_copy(copy.name)

    def _is_live(self, claim: str | None) -> bool:
        # A file that a process holds: numbers of processes mean nothing in another container.
        return claim is not None and is_held(self.folder / claim)

    def _remove_copy(self, name: str) -> None:
        # Windows refuses while another program reads the file; it is then an orphan, cleared next time.
        with contextlib.suppress(OSError):
            (self._copies / name).unlink()


def _copy_whole(file: Path, copy: Path) -> None:
    # The permissions are given because finding out the usual ones is not for several threads at a time.
    with atomic_path(copy, mode=0o600) as temporary:
        shutil.copyfile(file, temporary)
