"""Folder of a result: written whole or not at all, then sent, with the costs in its report."""

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pydicom.dataset import Dataset

from NativeDLLib.core.errors import PacsError, UsageError
from NativeDLLib.core.files import scratch, sync, utf8_name
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.derived import save
from NativeDLLib.pacs.delivery import deliver
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.results.report import Report, Sent, StoredObject


@dataclass(frozen=True)
class Destination:
    """Where a result goes."""

    folder: Path  # folder of the result; it is made where there is none
    peer: Peer | None = None  # peer that its DICOM objects are sent to
    overwrite: bool = False  # whether a result in the folder may be replaced


class ResultFolder(AbstractContextManager["ResultFolder"]):
    """Context manager that writes one result.

    The block saves files and sets `report`. When it ends without an error, the report is completed and written, all
    files replace those in the folder, and the DICOM objects are sent. Where nothing was saved, nothing is written.

    `names` are the files that a result may have, the report last. One that was not saved is removed from the folder,
    where it would belong to an earlier result. UsageError where the folder is a file, or holds a result that may not be
    replaced. PacsError at the end, where an object could not be delivered: it waits in the outbox.
    """

    report: Report

    def __init__(self, destination: Destination, names: Sequence[str], progress: Progress) -> None:
        check_output(destination.folder, names, destination.overwrite)
        self._to, self._names, self._progress = destination, names, progress
        self._started = time.perf_counter()
        self._scratch = ExitStack()
        self._staging: Path | None = None
        self._objects: list[Path] = []

    def path(self, name: str) -> Path:
        """Return where a file of the result is to be written: in a folder beside the final one."""
        if self._staging is None:
            self._to.folder.parent.mkdir(parents=True, exist_ok=True)
            self._staging = self._scratch.enter_context(scratch(".nativedl-", self._to.folder.parent))
        return self._staging / name

    def save(self, name: str, dataset: Dataset, kind: str = "") -> StoredObject:
        """Write a DICOM object of the result, and return what the report tells of it."""
        save(dataset, self.path(name))
        self._objects.append(self._to.folder / name)
        return StoredObject(str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID), kind)

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._scratch.close()

    def _finish(self) -> None:
        self.report.complete(self._started, self._progress)
        if self._staging is None:
            return
        *_, report_name = self._names
        written = [name for name in self._names if self.path(name).exists() or name == report_name]
        self.report.files = {name: str(self._to.folder / name) for name in written}
        self.report.write(self.path(report_name))
        for name in written:
            sync(self.path(name))
        self._to.folder.mkdir(exist_ok=True)
        for name in written:
            os.replace(self.path(name), self._to.folder / name)
        for name in set(self._names) - set(written):
            (self._to.folder / name).unlink(missing_ok=True)
        if self._to.peer is not None and self._objects:
            self._send(self._to.peer)

    def _send(self, peer: Peer) -> None:
        self.report.sent = sent = Sent(peer.name, delivered=False)
        try:
            with self._progress.stage("send"):
                deliver(self._objects, peer, self._progress)
            sent.delivered = True
        except PacsError as error:
            sent.reason = str(error)
            raise PacsError(f"{error}; the result is in {self._to.folder}", hint=error.hint) from error
        finally:
            self.report.complete(self._started, self._progress)
            self.report.write(self._to.folder / self._names[-1])


def check_output(output: Path, names: Sequence[str], overwrite: bool) -> None:
    """Raise UsageError where a folder is a file, or holds files that may not be replaced; see also `utf8_name`."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file, where a folder is needed")
    utf8_name(output)
    there = [name for name in names if (output / name).exists()]
    if there and not overwrite:
        told = f"{output}: already holds {', '.join(there)}; choose another folder"
        raise UsageError(told, hint="or give --overwrite to replace it")
