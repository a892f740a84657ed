"""Retrieving a study or series by C-GET, or by C-MOVE to a Storage SCP of our own."""

import contextlib
import socket
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset, uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, build_role, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
from pynetdicom.transport import ThreadedAssociationServer

from NativeDLLib.core.errors import CancelledError, PacsError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.association import MAXIMUM_CONTEXTS, PENDING, associate, check_answer, inventory
from NativeDLLib.pacs.inbox import Inbox
from NativeDLLib.pacs.peers import Peer

_POLL_S = 0.05
_UNCOMPRESSED = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]
# The most frequent first: when contexts are scarce, those at the end share one.
_COMPRESSED = """
    JPEG2000Lossless JPEGLosslessSV1 JPEGLSLossless RLELossless DeflatedExplicitVRLittleEndian JPEG2000 JPEGBaseline8Bit
    JPEGExtended12Bit JPEGLossless JPEGLSNearLossless HTJ2KLossless HTJ2KLosslessRPCL HTJ2K
"""
_LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"  # younger than pydicom 3.0's dictionary
# Asked for when the peer cannot say what a series holds.
_USUAL_NAMES = """
    CTImageStorage EnhancedCTImageStorage LegacyConvertedEnhancedCTImageStorage MRImageStorage EnhancedMRImageStorage
    LegacyConvertedEnhancedMRImageStorage PositronEmissionTomographyImageStorage EnhancedPETImageStorage
    SegmentationStorage RTStructureSetStorage EnhancedSRStorage ComprehensiveSRStorage Comprehensive3DSRStorage
    SecondaryCaptureImageStorage RawDataStorage
"""
_USUAL_CLASSES = [*(getattr(uid, name) for name in _USUAL_NAMES.split()), _LABEL_MAP_SEGMENTATION_STORAGE]


def retrieve(peer: Peer, study_uid: str, series_uid: str | None, folder: Path, progress: Progress) -> list[Path]:
    """Retrieve all instances of a study or series into a folder, or none, by C-GET or C-MOVE as ``peer.retrieve`` says.
    Without a series the whole study comes. Files are named by SOP Instance UID and encoded as the peer sent them.
    PacsError where the peer cannot be reached, refuses, has nothing, or sends less or other objects.
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
            handler: Any = (evt.EVT_C_STORE, _take, [inbox, progress])
            if peer.retrieve == "move":
                _move(peer, query, inbox, progress, handler)
            else:
                classes = sorted(set(listed.values())) if listed else _USUAL_CLASSES
                contexts, roles = storage_proposal(classes)
                model = StudyRootQueryRetrieveInformationModelGet
                with associate(peer, [build_context(model), *contexts], roles, [handler]) as association:
                    _follow(peer, "C-GET", association.send_c_get(query, model), inbox, progress)
        return inbox.finish(peer)


def storage_proposal(classes: Iterable[str]) -> tuple[list[PresentationContext], list[Any]]:
    """Presentation contexts and role selections with which a peer can send us objects by C-GET. The acceptor chooses
    one transfer syntax in a context: each compressed one has its own, so that the peer sends its objects without
    transcoding. Of 128 contexts, with many classes the rarer syntaxes share one.
    """
    available = MAXIMUM_CONTEXTS - 1
    classes = list(classes)[: available // 2]
    compressed = [getattr(uid, name) for name in _COMPRESSED.split()]
    share = min(available // len(classes), 1 + len(compressed))
    groups = [_UNCOMPRESSED, *([syntax] for syntax in compressed[: share - 2]), compressed[share - 2 :]]
    contexts = [build_context(sop_class, group) for sop_class in classes for group in groups]
    return contexts, [build_role(sop_class, scp_role=True) for sop_class in classes]


def storage_support() -> list[PresentationContext]:
    """Make the contexts that our own Storage SCPs accept: every storage class in every transfer syntax."""
    classes = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    classes.add(_LABEL_MAP_SEGMENTATION_STORAGE)
    return [build_context(sop_class, list(ALL_TRANSFER_SYNTAXES)) for sop_class in sorted(classes)]


def _move(peer: Peer, query: Dataset, inbox: Inbox, progress: Progress, handler: Any) -> None:
    model = StudyRootQueryRetrieveInformationModelMove
    strangers: set[str] = set()
    with (
        associate(peer, [build_context(model)]) as association,
        # Listening only on the address that faces the peer keeps the port closed to other networks.
        _storage_scp(peer, association, handler, strangers),
    ):
        responses = association.send_c_move(query, peer.calling_ae_title, model)
        try:
            _follow(peer, "C-MOVE", responses, inbox, progress)
        except PacsError as error:
            if strangers:
                raise PacsError(
                    f"{error} (refused meanwhile: {', '.join(sorted(strangers)[:5])}; only {peer.ae_title} may send "
                    "here, to our AE title, from its own address or one in move_from of pacs.json)"
                ) from error
            raise


class _PeerOnly(ThreadedAssociationServer):  # type: ignore[misc]
    """Server that closes connections from other addresses than `senders`, before they can say or hold up anything."""

    senders: Collection[str] = ()
    strangers: set[str]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        try:
            if address[0] not in self.senders:
                self.strangers.add(address[0])
                raise ConnectionRefusedError
            if self.ssl_context:
                connection.settimeout(self.ae.acse_timeout)
                connection = self.ssl_context.wrap_socket(connection, server_side=True)
                connection.settimeout(None)
        except OSError:
            connection.close()
            raise
        return connection, address


@contextlib.contextmanager
def _storage_scp(peer: Peer, association: Any, handler: Any, strangers: set[str]) -> Iterator[None]:
    """Listen for the block, to the peer of an association alone; who else tries is added to the strangers."""
    entity = AE(peer.calling_ae_title)
    entity.supported_contexts = storage_support()
    entity.require_called_aet = True
    entity.require_calling_aet = [peer.ae_title]
    entity.acse_timeout = peer.timeouts.acse
    entity.dimse_timeout = peer.timeouts.dimse
    entity.network_timeout = peer.timeouts.network
    entity.maximum_pdu_size = peer.max_pdu
    tls = peer.tls.server_context(peer.name) if peer.tls and peer.tls.cert else None
    address = association.requestor.address

    def note(event: Any) -> None:
        request = event.assoc.requestor.primitive
        strangers.add(f"{request.calling_ae_title} calling {request.called_ae_title}")

    place, handlers = (address, peer.move_port or 0), [handler, (evt.EVT_REJECTED, note)]
    try:
        server = entity.make_server(place, ssl_context=tls, evt_handlers=handlers, server_class=_PeerOnly)
    except OSError as error:
        raise PacsError(
            f"our Storage SCP for the C-MOVE of {peer} cannot listen on {address}:{peer.move_port}: "
            f"{error.strerror or error}; free the port or set another move_port in pacs.json and at the peer"
        ) from error
    server.strangers = strangers
    server.senders = {association.dul.socket.socket.getpeername()[0]}
    for host in peer.move_from:
        # One that cannot be resolved now does not send now either.
        with contextlib.suppress(OSError):
            server.senders |= {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    entity._servers.append(server)
    threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True).start()
    try:
        yield
    finally:
        entity.shutdown()


def _take(event: Any, inbox: Inbox, progress: Progress) -> int:
    try:
        progress.check()
    except CancelledError:
        # Of an association that we ended nothing more comes: a C-GET would wait for it until the time-out.
        event.assoc.dimse_timeout = 0
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
        raise inbox.refusal(peer) or PacsError(
            f"{peer} completed {counts['Completed']} sub-operations of the {service}, {counts['Failed']} failed and "
            f"{counts['Warning']} gave a warning; nothing was kept, see the peer's log"
        )
    check_answer(peer, service, response)
    if inbox.count < counts["Completed"]:
        came = f"it sent {counts['Completed']} instances, {inbox.count} came"
        raise PacsError(f"{peer} says that {came}; nothing was kept, try again")
