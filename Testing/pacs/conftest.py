"""Small series, an Orthanc that lives as long as the tests, and SCPs that answer as a test wants."""

import contextlib
import threading

import pytest
from factories import block, ct_series
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_context, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer
from servers import LOOPBACK, Orthanc

from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.peers import Peer, Timeouts


@pytest.fixture(autouse=True)
def _loopback_without_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", LOOPBACK)


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def progress():
    return Progress()


@pytest.fixture(scope="session")
def make_series():
    """Write a series of `count` small CT slices; attributes are set by keyword."""

    def make(folder, count=3, syntax=ExplicitVRLittleEndian, **attributes):
        patient = f"P{generate_uid()[-12:]}"

        def edit(dataset, _):
            for keyword, value in ({"PatientID": patient} | attributes).items():
                setattr(dataset, keyword, value)

        return ct_series(folder, block((count, 64, 64)), syntax=syntax, edit=edit)

    return make


@pytest.fixture
def scripted():
    """Run an SCP whose handlers the test gives; the block gets the peer that it is."""

    @contextlib.contextmanager
    def run(*, store=None, find=None, get=None, contexts=None, calling_only=None, **peer_settings):
        entity = AE("SCRIPTED")
        entity.supported_contexts = contexts or [build_context(CTImageStorage, ALL_TRANSFER_SYNTAXES)]
        for context in entity.supported_contexts:
            context.scu_role = context.scp_role = True
        entity.add_supported_context(Verification)
        if find:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        if get:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        entity.require_calling_aet = [calling_only] if calling_only else []
        given = {evt.EVT_C_STORE: store, evt.EVT_C_FIND: find, evt.EVT_C_GET: get}
        handlers = [(event, handler) for event, handler in given.items() if handler]
        server = entity.make_server((LOOPBACK, 0), evt_handlers=handlers, server_class=ThreadedAssociationServer)
        entity._servers.append(server)
        # Not start_server, which looks only every half second whether it is to end.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = {"ae_title": "SCRIPTED", "host": LOOPBACK, "port": server.socket.getsockname()[1]}
        try:
            yield Peer(**{"name": "SCRIPTED", "timeouts": Timeouts(2, 2, 2, 2)} | address | peer_settings)
        finally:
            entity.shutdown()

    return run
