"""Retrieving a study or series by C-GET, or by C-MOVE to a Storage SCP of our own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from NativeDLLib.core.errors import CancelledError, PacsError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.association import associate, check_answer
from NativeDLLib.pacs.contexts import USUAL_CLASSES, storage_proposal, storage_support
from NativeDLLib.pacs.inbox import Inbox
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.query import PENDING, inventory
from NativeDLLib.pacs.tls import server_tls


def retrieve(peer: Peer, study_uid: str, series_uid: str | None, folder: Path, progress: Progress) -> list[Path]:
    """Retrieve all instances of a study or series into a folder, or none.

    The peer's ``retrieve`` decides for C-GET or C-MOVE. Without a series the whole study comes. Files are named by SOP
    Instance UID and encoded as the peer sent them.

    Raises
    ------
    PacsError
        Where the peer cannot be reached, refuses, has nothing, or sends less or other objects than were asked for.
    """
    progress.check()
    listed = inventory(peer, study_uid, series_uid)
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES" if series_uid else "STUDY"
    query.StudyInstanceUID = study_uid
    if series_uid:
        query.SeriesInstanceUID = series_uid
    with Inbox(folder, study_uid, series_uid, listed, progress) as inbox:
        if listed != {}:
            handler = (evt.EVT_C_STORE, _take, [inbox, progress])
            if peer.retrieve == "move":
                _move(peer, query, inbox, progress, handler)
            else:
                classes = sorted(set(listed.values())) if listed else USUAL_CLASSES
                _get(peer, query, inbox, progress, handler, classes)
        return inbox.finish(peer)


def _get(peer: Peer, query: Dataset, inbox: Inbox, progress: Progress, handler: Any, classes: Iterable[str]) -> None:
    model = StudyRootQueryRetrieveInformationModelGet
    contexts, roles = storage_proposal(classes)
    with associate(peer, [build_context(model), *contexts], roles, [handler]) as association:
        _follow(peer, "C-GET", association.send_c_get(query, model), inbox, progress)


def _move(peer: Peer, query: Dataset, inbox: Inbox, progress: Progress, handler: Any) -> None:
    model = StudyRootQueryRetrieveInformationModelMove
    with (
        associate(peer, [build_context(model)]) as association,
        # Listening only on the address that faces the peer keeps the port closed to other networks.
        _storage_scp(peer, association.requestor.address, handler),
    ):
        responses = association.send_c_move(query, peer.calling_ae_title, model)
        _follow(peer, "C-MOVE", responses, inbox, progress)


@contextlib.contextmanager
def _storage_scp(peer: Peer, address: str, handler: Any) -> Iterator[None]:
    entity = AE(peer.calling_ae_title)
    entity.supported_contexts = storage_support()
    entity.acse_timeout = peer.timeouts.acse
    entity.dimse_timeout = peer.timeouts.dimse
    entity.network_timeout = peer.timeouts.network
    entity.maximum_pdu_size = peer.max_pdu
    tls = server_tls(peer.tls, peer.name) if peer.tls and peer.tls.cert else None
    place = (address, peer.move_port or 0)
    try:
        entity.start_server(place, block=False, ssl_context=tls, evt_handlers=[handler])
    except OSError as error:
        raise PacsError(
            f"our Storage SCP for the C-MOVE of {peer} cannot listen on {address}:{peer.move_port}: "
            f"{error.strerror or error}; free the port or set another move_port in pacs.json and at the peer"
        ) from error
    try:
        yield
    finally:
        entity.shutdown()


def _take(event: Any, inbox: Inbox, progress: Progress) -> int:
    try:
        progress.check()
    except CancelledError:
        event.assoc.abort()
        return 0xA700
    return inbox.take(event.encoded_dataset())


def _follow(peer: Peer, service: str, responses: Iterable[Any], inbox: Inbox, progress: Progress) -> None:
    """Wait for the final response, and hold it against what has come."""
    response = Dataset()
    for response, _ in responses:
        progress.check()
        if response.get("Status") not in PENDING:
            break
    counts = {kind: response.get(f"NumberOf{kind}Suboperations") or 0 for kind in ("Completed", "Failed", "Warning")}
    if response.get("Status") in (0x0000, 0xB000) and counts["Failed"] + counts["Warning"] > 0:
        raise PacsError(
            f"{peer} completed {counts['Completed']} sub-operations of the {service}, {counts['Failed']} failed and "
            f"{counts['Warning']} gave a warning; nothing was kept, see the peer's log"
        )
    check_answer(peer, service, response)
    if inbox.count < counts["Completed"]:
        raise PacsError(
            f"{peer} says that it sent {counts['Completed']} instances, {inbox.count} came; nothing was kept, try again"
        )
