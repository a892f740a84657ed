"""Where retrieved objects wait until all have come."""

import hashlib
import io
import threading
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from pydicom import dcmread

from NativeDLLib.core.deflated import beginning
from NativeDLLib.core.errors import PacsError
from NativeDLLib.core.files import scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.uids import is_uid
from NativeDLLib.pacs.peers import Peer

_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


class Inbox:
    """Objects of one study or series, taken into a hidden folder and moved to `folder` at the end. `expected` are the
    SOP Instance UIDs that the peer listed, None where it listed none. Objects that were not listed, of other studies or
    series, and second ones of the same UID are refused. A refusal by itself ends nothing: whoever sent the object is
    told, and a peer counts what it could not deliver.
    """

    def __init__(
        self, folder: Path, study_uid: str, series_uid: str | None, expected: Collection[str] | None, progress: Progress
    ) -> None:
        self._folder, self._study_uid, self._series_uid = folder, study_uid, series_uid
        self._asked = f"series {series_uid}" if series_uid else f"study {study_uid}"
        self._expected, self._progress = set(expected or ()), progress
        self._received: dict[str, bytes] = {}
        self._refused: list[str] = []
        self._lock = threading.Lock()
        self._scratch = ExitStack()

    @property
    def count(self) -> int:
        """How many different objects have come."""
        return len(self._received)

    def __enter__(self) -> "Inbox":
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._waiting = self._scratch.enter_context(scratch(".partial-", self._folder))
        except OSError as error:
            raise PacsError(f"{self._folder}: cannot be written to: {error.strerror or error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()

    def take(self, content: bytes) -> int:
        """Take a DICOM file, from any thread, and return the C-STORE status for it (PS3.4 table B.2-1)."""
        with self._lock:
            return self._take(content)

    def _take(self, content: bytes) -> int:
        header = beginning(io.BytesIO(content))[0]
        try:
            dataset = dcmread(header, stop_before_pixels=True, specific_tags=[*_UIDS])
            uid, study, series = str(dataset.SOPInstanceUID), dataset.StudyInstanceUID, dataset.SeriesInstanceUID
        except Exception as error:  # damaged content can make the parser raise nearly anything
            return self._refuse(0xC000, f"an object that cannot be read: {error}")
        if not is_uid(uid):
            return self._refuse(0x0117, "an object whose SOP Instance UID is no UID")
        if study != self._study_uid or self._series_uid not in (None, series):
            return self._refuse(0xA900, f"the object {uid} of the series {series} of the study {study}")
        if self._expected and uid not in self._expected:
            return self._refuse(0xA900, f"the object {uid}, which it did not list")
        digest = hashlib.sha256(content).digest()
        if self._received.get(uid, digest) != digest:
            return self._refuse(0x0111, f"two different objects with the SOP Instance UID {uid}")
        try:
            (self._waiting / f"{uid}.dcm").write_bytes(content)
        except OSError as error:
            return self._refuse(0xA700, f"the object {uid}, which cannot be written: {error.strerror or error}")
        self._received[uid] = digest
        if self._expected:
            self._progress.update("retrieve", min(1.0, self.count / len(self._expected)))
        return 0x0000

    def finish(self, peer: Peer) -> list[Path]:
        """Move the objects to their place and return their paths, or raise a `PacsError` if not all have come."""
        if not self._received:
            raise self.refusal(peer) or PacsError(
                f"{peer} has no instance of the {self._asked}", hint=f"look for it with: nativedl find {peer.name}"
            )
        missing = self._expected - self._received.keys()
        if missing:
            raise self.refusal(peer) or PacsError(
                f"{peer} sent {self.count} of the {len(self._expected)} instances of the {self._asked}, {min(missing)} "
                "is missing; nothing was kept, try again"
            )
        names = [f"{uid}.dcm" for uid in sorted(self._received)]
        return [(self._waiting / name).replace(self._folder / name) for name in names]

    def refusal(self, peer: Peer) -> PacsError | None:
        """Return an error that tells of the object refused first; None where none was."""
        if not self._refused:
            return None
        return PacsError(f"{peer} sent, asked for the {self._asked}, {self._refused[0]}; nothing was kept")

    def _refuse(self, status: int, reason: str) -> int:
        self._refused.append(reason)
        return status
