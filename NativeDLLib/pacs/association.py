"""An association with a peer over DIMSE, bounded in time, its failures said in words; C-ECHO and C-FIND (PS3.4 C)."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config, build_context, evt, sop_class
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification

from NativeDLLib.core.errors import PacsError
from NativeDLLib.pacs.keys import identifier
from NativeDLLib.pacs.outcome import AssociationLostError, NoneAcceptedError, RefusedError, explain_query
from NativeDLLib.pacs.peers import Peer

# Objects are sent from file as they are, and neither queries nor answers, which name patients, are logged.
_config.STORE_SEND_CHUNKED_DATASET = True
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"

MAXIMUM_CONTEXTS = 128
PENDING = (0xFF00, 0xFF01)


@contextlib.contextmanager
def associate(
    peer: Peer, contexts: Sequence[PresentationContext], roles: Sequence[Any] = (), handlers: Sequence[Any] = ()
) -> Iterator[Any]:
    """Association for the block, released after it, or aborted when the block raises. At most 128 `contexts` are
    proposed; C-GET needs `roles` (SCP/SCU role selections); `handlers` are those of pynetdicom. PacsError where the
    peer cannot be reached, rejects the association, or accepts none of the contexts.
    """
    entity = AE(peer.calling_ae_title)
    entity.connection_timeout = peer.timeouts.connect
    entity.acse_timeout = peer.timeouts.acse
    entity.dimse_timeout = peer.timeouts.dimse
    entity.network_timeout = peer.timeouts.network
    tls = (peer.tls.client_context(peer.name), peer.host) if peer.tls else None
    connected: list[bool] = []
    started = time.monotonic()
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            list(contexts),
            ae_title=peer.ae_title,
            max_pdu=peer.max_pdu,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, _connected, [peer.timeouts.network, connected]), *handlers],
        )
    except OSError as error:
        raise PacsError(_unreachable(peer, str(error))) from error
    if association.rejected_contexts and not association.accepted_contexts:
        results = [context.result for context in association.rejected_contexts]
        raise NoneAcceptedError(f"{peer} accepts none of the services or objects that were proposed", results)
    if association.is_rejected:
        answer = association.acceptor.primitive
        raise PacsError(
            f"{peer} rejected the association of {peer.calling_ae_title}: {answer.reason_str.lower()} "
            f"({answer.result_str.lower()}); check both AE titles in pacs.json and at the peer"
        )
    if not association.is_established:
        if not connected:
            raise PacsError(_unreachable(peer, _reason(peer, tls, started)))
        raise PacsError(
            f"{peer} took the connection, but no association came about within {peer.timeouts.acse:g} s "
            "(timeouts.acse); check that it is a DICOM service, and whether it expects TLS or our certificate"
        )
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def echo(peer: Peer) -> float:
    """Seconds that an association and a C-ECHO take; PacsError where the peer does not answer with success."""
    started = time.perf_counter()
    with associate(peer, [build_context(Verification)]) as association:
        response = association.send_c_echo()
    check_answer(peer, "C-ECHO", response)
    return time.perf_counter() - started


def check_answer(peer: Peer, service: str, response: Any) -> None:
    """Raise a `PacsError` unless the response's status is success."""
    if "Status" not in response:
        raise AssociationLostError(
            f"{peer} did not answer the {service} request: the association was lost, or "
            f"{peer.timeouts.dimse:g} s (timeouts.dimse) passed"
        )
    if response.Status != 0x0000:
        reason = explain_query(response.Status, str(response.get("ErrorComment", "")))
        raise RefusedError(f"{peer} refused the {service} request: {reason}")


def no_delay(event: Any) -> None:
    """Send at once: command and data set are separate writes, and the second would wait for an acknowledgement."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _connected(event: Any, seconds: float, connected: list[bool]) -> None:
    connected.append(True)
    # pynetdicom lifts the time-out once connected: a peer that stops reading would then hold us for ever.
    event.assoc.dul.socket.socket.settimeout(seconds)
    no_delay(event)


def _unreachable(peer: Peer, reason: str) -> str:
    return f"{peer} cannot be reached: {reason}; check that it runs, and host, port and TLS in pacs.json"


def _reason(peer: Peer, tls: tuple[ssl.SSLContext, str] | None, started: float) -> str:
    """Find out why there was no connection by trying again, for pynetdicom tells that to its log only."""
    if time.monotonic() - started >= peer.timeouts.connect:
        return f"no connection within {peer.timeouts.connect:g} s (timeouts.connect)"
    try:
        with socket.create_connection((peer.host, peer.port), peer.timeouts.connect) as connection:
            if tls:
                tls[0].wrap_socket(connection, server_hostname=tls[1]).close()
    except OSError as error:
        return str(error)
    return "the connection failed"


def find(peer: Peer, level: str, keys: Mapping[str, str]) -> list[Dataset]:
    """Matches at one level (``PATIENT``, ``STUDY``, ``SERIES`` or ``IMAGE``), one data set each. `keys` are matching
    keys by DICOM keyword; wildcards, lists of UIDs and date ranges as in PS3.4 C.2.2.2. The usual return keys of the
    level are added. UsageError where a key is no DICOM keyword, or series or images are asked for outside a study;
    PacsError where the peer cannot be reached or refuses the query.
    """
    query = identifier(level, keys)
    model = getattr(sop_class, f"{'Patient' if level == 'PATIENT' else 'Study'}RootQueryRetrieveInformationModelFind")
    with associate(peer, [build_context(model)]) as association:
        return _ask(peer, association, query, model)


def inventory(peer: Peer, study_uid: str, series_uid: str | None) -> dict[str, str] | None:
    """SOP Class UID by SOP Instance UID of a study or series; None where the peer answers no queries at IMAGE level."""
    found: dict[str, str] = {}
    model = sop_class.StudyRootQueryRetrieveInformationModelFind
    with associate(peer, [build_context(model)]) as association:
        try:
            series = [series_uid] if series_uid else []
            if not series_uid:
                query = identifier("SERIES", {"StudyInstanceUID": study_uid})
                series = [str(match.SeriesInstanceUID) for match in _ask(peer, association, query, model)]
            for uid in series:
                query = identifier("IMAGE", {"StudyInstanceUID": study_uid, "SeriesInstanceUID": uid})
                for match in _ask(peer, association, query, model):
                    found[str(match.SOPInstanceUID)] = str(match.SOPClassUID)
        except (RefusedError, AttributeError):
            return None
    return found if all(found.values()) else None


def _ask(peer: Peer, association: Any, query: Dataset, model: Any) -> list[Dataset]:
    matches: list[Dataset] = []
    for response, match in association.send_c_find(query, model):
        if response.get("Status") not in PENDING:
            check_answer(peer, "C-FIND", response)
        elif match is None:
            raise PacsError(f"{peer} sent a C-FIND answer that cannot be decoded")
        else:
            matches.append(match)
    return matches
