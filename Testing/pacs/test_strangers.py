"""Others than the peer that connect while objects are awaited after a C-MOVE: nothing of theirs is taken."""

import copy
import socket

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import AE, build_context
from servers import LOOPBACK, free_port, make_certificate

from NativeDLLib.core.errors import PacsError
from NativeDLLib.pacs.retrieve import retrieve

ELSEWHERE = "127.0.0.2"


@pytest.fixture
def series(make_series, tmp_path):
    return [dcmread(file) for file in make_series(tmp_path / "series", 3)]


def lists(datasets):
    def on_find(event):
        for dataset in datasets:
            answer = Dataset()
            for element in event.identifier:
                answer[element.tag] = dataset.get(element.tag, element)
            yield 0xFF00, answer

    return on_find


def other(dataset, **attributes):
    """Return a copy with black pixels and other attributes."""
    changed = copy.deepcopy(dataset)
    changed.PixelData = bytes(len(dataset.PixelData))
    for keyword, value in attributes.items():
        setattr(changed, keyword, value)
    return changed


def connect(port, dataset, calling="SCRIPTED", called="NATIVEDL", address=LOOPBACK):
    """Send an object as a stranger; return the status, None where there is no association."""
    entity = AE(calling)
    entity.connection_timeout = entity.acse_timeout = 5
    contexts = [build_context(CTImageStorage)]
    association = entity.associate(LOOPBACK, port, contexts, ae_title=called, bind_address=(address, 0))
    if not association.is_established:
        return None
    status = association.send_c_store(dataset)
    association.release()
    return status.get("Status")


@pytest.fixture
def fetch(scripted, series, tmp_path, progress):
    """Retrieve by C-MOVE from a peer beside which a stranger connects first, and after it."""

    def run(before=None, after=None, told=None, tls=None, **settings):
        port = free_port()

        def on_move(_):
            if before:
                told.append(before(port))
            yield LOOPBACK, port, {"tls_args": tls and (tls.client_context("PEER"), "localhost")}
            yield len(series)
            for dataset in series:
                yield 0xFF00, dataset
            if after:
                told.append(after(port))

        settings |= {"retrieve": "move", "move_port": port}
        with scripted(find=lists(series), move=on_move, tls=tls, **settings) as peer:
            one = series[0]
            files = retrieve(peer, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path / "back", progress)
            return {file.stem: dcmread(file).PixelData for file in files}

    return run


NOT_THE_PEER = {"calling": {"calling": "STRANGER"}, "called": {"called": "ANYBODY"}, "address": {"address": ELSEWHERE}}


@pytest.mark.parametrize("who", NOT_THE_PEER)
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_is_not_the_peer_is_not_listened_to(fetch, series, who, when):
    told = []

    def stranger(port):
        return connect(port, other(series[0]), **NOT_THE_PEER[who])

    taken = fetch(**{when: stranger}, told=told)

    assert told == [None]
    assert taken == {dataset.SOPInstanceUID: dataset.PixelData for dataset in series}


FOREIGN = {
    "study": {"StudyInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()},
    "series": {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()},
    "instance": {"SOPInstanceUID": generate_uid()},
    "pixels": {},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_objects_end_nothing_even_under_the_peers_name(fetch, series, what):
    told = []

    def pretender(port):
        return connect(port, other(series[0], **FOREIGN[what]))

    taken = fetch(after=pretender, told=told)

    assert told[0] not in (None, 0x0000)
    assert taken == {dataset.SOPInstanceUID: dataset.PixelData for dataset in series}


def test_an_object_that_came_before_the_peers_own_is_not_kept(fetch, series, tmp_path):
    told = []
    with pytest.raises(PacsError, match="two different objects"):
        fetch(before=lambda port: connect(port, other(series[0])), told=told)

    assert list((tmp_path / "back").iterdir()) == []


def test_a_peer_that_sends_under_another_title_is_told_of(fetch, series, scripted, tmp_path, progress):
    port = free_port()

    def on_move(event):
        event.assoc.ae.ae_title = "ARCHIVE2"
        yield LOOPBACK, port
        yield 1
        yield 0xFF00, series[0]

    with (
        scripted(find=lists(series), move=on_move, retrieve="move", move_port=port) as peer,
        pytest.raises(PacsError, match="refused meanwhile: ARCHIVE2 calling NATIVEDL; only SCRIPTED may send"),
    ):
        retrieve(peer, series[0].StudyInstanceUID, series[0].SeriesInstanceUID, tmp_path / "back", progress)


def test_a_sender_that_the_peer_is_configured_with_is_listened_to(fetch, series):
    told = []
    taken = fetch(
        before=lambda port: connect(port, series[0], address=ELSEWHERE), told=told, move_from=(ELSEWHERE, "no.invalid")
    )

    assert told == [0x0000]
    assert len(taken) == 3


def test_a_stranger_that_says_nothing_holds_up_no_handshake(fetch, tmp_path):
    told = []

    def silent(port):
        return socket.create_connection((LOOPBACK, port), source_address=(ELSEWHERE, 0))

    taken = fetch(before=silent, told=told, tls=make_certificate(tmp_path))

    told[0].close()
    assert len(taken) == 3
