"""Small series, an Orthanc that lives as long as the tests, and SCPs that answer as a test wants."""

import contextlib
import threading

import pytest
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_context, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer
from servers import LOOPBACK, Orthanc
from to_store import make_series, progress

from NativeDLLib.pacs.peers import Peer, Timeouts

__all__ = ["make_series", "progress"]


@pytest.fixture(autouse=True)
def _loopback_without_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", LOOPBACK)


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def scripted():
    """Run an SCP whose handlers the test gives; the block gets the peer that it is."""

    @contextlib.contextmanager
    def run(*, store=None, find=None, get=None, move=None, contexts=None, calling_only=None, tls=None, **peer_settings):
        entity = AE("SCRIPTED")
        entity.supported_contexts = contexts or [build_context(CTImageStorage, ALL_TRANSFER_SYNTAXES)]
        for context in entity.supported_contexts:
            context.scu_role = context.scp_role = True
        entity.add_supported_context(Verification)
        if find:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        if get:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        if move:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
            entity.requested_contexts = [build_context(CTImageStorage)]
        entity.require_calling_aet = [calling_only] if calling_only else []
        given = {evt.EVT_C_STORE: store, evt.EVT_C_FIND: find, evt.EVT_C_GET: get, evt.EVT_C_MOVE: move}
        handlers = [(event, handler) for event, handler in given.items() if handler]
        server = entity.make_server(
            (LOOPBACK, 0),
            ssl_context=tls and tls.server_context("SCRIPTED"),
            evt_handlers=handlers,
            server_class=ThreadedAssociationServer,
        )
        entity._servers.append(server)
        # Not start_server, which looks only every half second whether it is to end.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = {"ae_title": "SCRIPTED", "host": LOOPBACK, "port": server.socket.getsockname()[1]}
        try:
            yield Peer(
                **{"name": "SCRIPTED", "timeouts": Timeouts(20, 20, 20, 20), "tls": tls} | address | peer_settings
            )
        finally:
            entity.shutdown()

    return run
