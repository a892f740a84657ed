"""Objects that were on their way when the association or the process ended, so that the peer may have them or not."""

import pytest
from pydicom import dcmread
from servers import LOOPBACK, free_port

from NativeDLLib.pacs.delivery import send
from NativeDLLib.pacs.outbox import Outbox
from NativeDLLib.pacs.peers import Peer


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def files(make_series, tmp_path):
    return make_series(tmp_path / "series", 3)


def make_unclear(outbox, files):
    outbox.add(files, "SCRIPTED")
    with outbox.claimed() as entries:
        for entry in entries:
            outbox.mark_sending(entry)
    assert {entry.state for entry in outbox.entries()} == {"unclear"}


def test_after_an_unclear_end_the_peer_is_asked_and_what_it_has_is_not_sent_again(outbox, files, scripted, progress):
    make_unclear(outbox, files[:2])
    has = dcmread(files[0])
    sent = []

    def on_find(event):
        if event.identifier.SOPInstanceUID == has.SOPInstanceUID:
            yield 0xFF00, event.identifier

    def on_store(event):
        sent.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    with scripted(find=on_find, store=on_store) as peer:
        deliveries = send(outbox, {"SCRIPTED": peer}, progress)
    assert sent == [dcmread(files[1]).SOPInstanceUID]
    assert [delivery.message for delivery in deliveries] == ["the peer had it already", "success (status 0x0000)"]
    assert outbox.entries() == []


@pytest.mark.parametrize("answers", ["none", "refuses", "aborts", "ignores the key"])
def test_a_peer_that_cannot_say_gets_the_object_again_under_its_own_uid(outbox, files, scripted, progress, answers):
    make_unclear(outbox, files[:1])
    sent = []

    def on_find(event):
        if answers == "aborts":
            event.assoc.abort()
        elif answers == "ignores the key":
            other = event.identifier
            other.SOPInstanceUID = "1.2.3"
            yield 0xFF00, other
            return
        yield 0xA900, None

    def on_store(event):
        sent.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    with scripted(find=None if answers == "none" else on_find, store=on_store) as peer:
        send(outbox, {"SCRIPTED": peer}, progress)
    assert sent == [dcmread(files[0]).SOPInstanceUID]
    assert outbox.entries() == []


def test_an_object_outside_any_study_is_sent_again_without_asking(outbox, files, scripted, progress):
    dataset = dcmread(files[0])
    del dataset.StudyInstanceUID
    dataset.save_as(files[0])
    make_unclear(outbox, files[:1])
    with scripted(store=lambda _: 0x0000) as peer:
        (delivery,) = send(outbox, {"SCRIPTED": peer}, progress)
    assert delivery.ok


def test_an_unclear_object_stays_unclear_while_the_peer_is_down(outbox, files, progress):
    make_unclear(outbox, files)
    down = Peer("SCRIPTED", "SCRIPTED", LOOPBACK, free_port())
    deliveries = send(outbox, {"SCRIPTED": down}, progress)
    assert all("cannot be reached" in delivery.message for delivery in deliveries)
    assert {entry.state for entry in outbox.entries()} == {"unclear"}


def test_a_try_that_ends_like_the_last_says_so(outbox, files, scripted, progress):
    make_unclear(outbox, files[:1])

    with scripted(find=lambda _: iter(()), store=lambda event: event.assoc.abort() or 0x0000) as peer:
        (delivery,) = send(outbox, {"SCRIPTED": peer}, progress)

    assert "this try ended like the last: the peer may have the object" in delivery.message
    assert [entry.state for entry in outbox.entries()] == ["unclear"]
