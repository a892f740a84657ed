"""Services of a peer, by DIMSE or DICOMweb as it is configured; their libraries are imported at first use."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.outcome import AssociationLostError, NoneAcceptedError, RefusedError, StoreOutcome
from NativeDLLib.pacs.peers import Peer

if TYPE_CHECKING:
    from pydicom import Dataset


def echo(peer: Peer) -> float:
    """Verify that the peer answers, and return how many seconds that took."""
    if peer.host:
        from NativeDLLib.pacs.association import echo
    else:
        from NativeDLLib.pacs.web import echo
    return echo(peer)


def find(peer: Peer, level: str, keys: Mapping[str, str]) -> "list[Dataset]":
    """Find patients, studies, series or images; see `association.find`."""
    if peer.retrieve == "dicomweb":
        from NativeDLLib.pacs.web import find
    else:
        from NativeDLLib.pacs.association import find
    return find(peer, level, keys)


def retrieve(peer: Peer, study_uid: str, series_uid: str | None, folder: Path, progress: Progress) -> list[Path]:
    """Retrieve all instances of a study or series, or none; see `retrieve.retrieve`."""
    if peer.retrieve == "dicomweb":
        from NativeDLLib.pacs.web import retrieve
    else:
        from NativeDLLib.pacs.retrieve import retrieve
    return retrieve(peer, study_uid, series_uid, folder, progress)


def store_each(peer: Peer, files: Sequence[Path]) -> Generator[StoreOutcome, None, None]:
    """Store objects, giving each outcome before the next object is sent; see `store.store_each`."""
    if peer.store == "dicomweb":
        from NativeDLLib.pacs.web import store_each
    else:
        from NativeDLLib.pacs.store import store_each
    return store_each(peer, files)


def has_instance(peer: Peer, study_uid: str, series_uid: str, sop_instance_uid: str) -> bool:
    """Whether the peer has an object; False for a peer that does not answer such queries."""
    if not study_uid or not series_uid:
        return False
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": sop_instance_uid}
    try:
        # A query goes the way that the object went.
        matches = find(replace(peer, retrieve="dicomweb" if peer.store == "dicomweb" else "get"), "IMAGE", keys)
    except (AssociationLostError, NoneAcceptedError, RefusedError):
        return False
    return any(match.get("SOPInstanceUID") == sop_instance_uid for match in matches)
