"""What the outbox keeps, sends, refuses and lets go."""

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from pydicom import dcmread
from servers import LOOPBACK, free_port

from NativeDLLib.core.errors import CancelledError, InputError, PacsError
from NativeDLLib.pacs import outbox as module
from NativeDLLib.pacs.delivery import complain, deliver, send
from NativeDLLib.pacs.outbox import FIRST_DELAY_S, LONGEST_DELAY_S, Outbox
from NativeDLLib.pacs.peers import Peer, Tls

NOW = 1_800_000_000.0


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def files(make_series, tmp_path):
    return make_series(tmp_path / "series", 3)


@pytest.fixture
def down():
    return Peer("PACS", "PACS", LOOPBACK, free_port())


def copies(outbox):
    return list((outbox.folder / "objects").iterdir())


def test_the_users_outbox_is_in_the_home_folder_or_where_the_environment_says(monkeypatch, tmp_path):
    assert Outbox().folder == Path.home() / ".nativedl" / "outbox"
    monkeypatch.setenv("NATIVEDL_OUTBOX", str(tmp_path))
    assert Outbox().folder == tmp_path


def test_it_keeps_copies_so_that_the_originals_may_go(outbox, files):
    contents = [file.read_bytes() for file in files]
    outbox.add(files, "PACS")
    for file in files:
        file.unlink()
    assert [outbox.copy_of(entry).read_bytes() for entry in outbox.entries()] == contents


def test_adding_the_same_object_again_keeps_one(outbox, files):
    first = outbox.add(files, "PACS")
    assert outbox.add([*files, files[0]], "PACS") == [*first, first[0]]
    assert len(copies(outbox)) == 3


def test_the_same_object_can_wait_for_two_peers(outbox, files):
    outbox.add(files, "PACS")
    outbox.add(files, "OTHER")
    assert len(outbox.entries()) == len(copies(outbox)) == 6


def test_another_object_with_the_same_uid_is_refused_and_nothing_is_added(outbox, files, make_series, tmp_path):
    outbox.add(files[:1], "PACS")
    changed = dcmread(files[0])
    changed.PatientComments = "changed"
    changed.save_as(files[0])
    with pytest.raises(InputError, match="another object with the SOP Instance UID"):
        outbox.add([files[1], files[0]], "PACS")
    assert len(outbox.entries()) == len(copies(outbox)) == 1


def test_what_is_no_dicom_is_refused_and_nothing_is_added(outbox, files, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM")
    with pytest.raises(InputError, match=r"notes\.txt: is not a DICOM file"):
        outbox.add([files[0], text], "PACS")
    assert outbox.entries() == []


def test_delivered_objects_leave_with_their_copies(outbox, files, scripted, progress):
    outbox.add(files, "SCRIPTED")
    with scripted(store=lambda _: 0x0000) as peer:
        deliveries = send(outbox, {"SCRIPTED": peer}, progress)
    assert [delivery.ok for delivery in deliveries] == [True] * 3
    assert outbox.entries() == []
    assert copies(outbox) == []


def test_a_failure_stays_with_its_reason_and_a_growing_delay(outbox, files, scripted, progress, monkeypatch):
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))
    outbox.add(files[:1], "SCRIPTED")
    delays = []
    with scripted(store=lambda _: 0xA700) as peer:
        for attempt in range(1, 9):
            (delivery,) = send(outbox, {"SCRIPTED": peer}, progress, only_due=False)
            (entry,) = outbox.entries()
            assert not delivery.ok
            assert (entry.state, entry.attempts) == ("waiting", attempt)
            assert "out of resources" in entry.reason
            delays.append(entry.next_attempt - NOW)
    assert delays == [min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**n) for n in range(8)]


def test_what_is_not_due_is_left_alone_until_it_is_added_again(outbox, files, down, progress):
    outbox.add(files, "PACS")
    assert len(send(outbox, {"PACS": down}, progress)) == 3
    assert send(outbox, {"PACS": down}, progress) == []
    outbox.add(files[:1], "PACS")
    assert len(send(outbox, {"PACS": down}, progress)) == 1


def test_only_the_chosen_objects_are_sent(outbox, files, scripted, progress):
    ids = outbox.add(files, "SCRIPTED")
    with scripted(store=lambda _: 0x0000) as peer:
        deliveries = send(outbox, {"SCRIPTED": peer}, progress, ids=ids[1:2])
    assert [delivery.id for delivery in deliveries] == ids[1:2]
    assert [entry.id for entry in outbox.entries()] == [ids[0], ids[2]]


def test_a_peer_that_is_down_does_not_hold_up_another(outbox, files, scripted, down, progress):
    outbox.add(files, "PACS")
    outbox.add(files, "SCRIPTED")
    with scripted(store=lambda _: 0x0000) as peer:
        send(outbox, {"PACS": down, "SCRIPTED": peer}, progress)
    assert {entry.peer for entry in outbox.entries()} == {"PACS"}


def test_objects_for_a_peer_that_is_no_longer_configured_stay(outbox, files, progress):
    outbox.add(files, "GONE")
    deliveries = send(outbox, {}, progress)
    assert "no peer is called 'GONE'" in deliveries[0].message
    assert len(outbox.entries()) == 3


def test_a_copy_that_was_damaged_does_not_stop_the_others(outbox, files, scripted, progress):
    outbox.add(files, "SCRIPTED")
    outbox.copy_of(outbox.entries()[0]).unlink()
    outbox.copy_of(outbox.entries()[1]).write_bytes(b"damaged")
    with scripted(store=lambda _: 0x0000) as peer:
        send(outbox, {"SCRIPTED": peer}, progress)
    first, second = outbox.entries()
    assert "cannot be read: No such file or directory" in first.reason
    assert "is not a DICOM file" in second.reason


def test_a_cancelled_send_keeps_the_rest_free_for_the_next(outbox, files, scripted, progress):
    outbox.add(files, "SCRIPTED")

    def on_store(_):
        progress.cancel()
        return 0x0000

    with scripted(store=on_store) as peer, pytest.raises(CancelledError):
        send(outbox, {"SCRIPTED": peer}, progress)
    assert [(entry.state, entry.claim) for entry in outbox.entries()] == [("waiting", None)] * 2


def test_dropped_objects_are_gone(outbox, files):
    ids = outbox.add(files, "PACS")
    assert [entry.id for entry in outbox.drop(ids[:2])] == ids[:2]
    assert [entry.id for entry in outbox.entries()] == ids[2:]
    assert len(copies(outbox)) == 1


def test_what_another_process_is_sending_is_neither_sent_nor_dropped(outbox, files, scripted, progress):
    ids = outbox.add(files, "SCRIPTED")
    sent = []
    with outbox.claimed(), scripted(store=sent.append) as peer:
        assert send(outbox, {"SCRIPTED": peer}, progress) == []
        with pytest.raises(PacsError, match="is being sent by another process"):
            outbox.drop(ids)
        with pytest.raises(PacsError, match="another process is sending it"):
            complain(outbox)
    assert sent == []
    assert len(outbox.entries()) == 3


def test_what_another_process_took_the_moment_it_was_there_is_waited_for(tmp_path, files, progress, monkeypatch):
    monkeypatch.setenv("NATIVEDL_OUTBOX", str(tmp_path / "outbox"))
    peer, add = Peer("PACS", "PACS", "127.0.0.1", 1), Outbox.add

    def add_and_lose(outbox, *given):
        ids, taken = add(outbox, *given), threading.Event()

        def other_process():
            with outbox.claimed() as entries:
                taken.set()
                for entry in entries:
                    outbox.mark_delivered(entry)

        threading.Thread(target=other_process).start()
        assert taken.wait(20)
        return ids

    monkeypatch.setattr(Outbox, "add", add_and_lose)

    assert {delivery.message for delivery in deliver(files, peer, progress)} <= {"another process sent it"}
    assert Outbox().entries() == []


DIES = """
import sys
from pathlib import Path
from NativeDLLib.pacs.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
with outbox.claimed() as entries:
    outbox.mark_sending(entries[0])
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_an_object_on_its_way_when_the_sender_died_is_unclear(outbox, files):
    outbox.add(files, "PACS")
    command = [sys.executable, "-c", DIES, outbox.folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as dying:
        assert dying.stdout.readline() == b"claimed\n"
        with outbox.claimed() as claimed:
            assert claimed == []
        dying.kill()
    with outbox.claimed() as claimed:
        assert [entry.state for entry in claimed] == ["unclear", "waiting", "waiting"]
        assert len(list(outbox.folder.glob("*.claim"))) == 1
    assert not list(outbox.folder.glob("*.claim"))


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_a_process_in_another_container_that_sends_is_seen(outbox, files):
    outbox.add(files, "PACS")
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", DIES, outbox.folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as there:
        if there.stdout.readline() != b"claimed\n":
            pytest.skip("no namespaces may be made here")
        with outbox.claimed() as claimed:
            assert claimed == []
        there.communicate(b"")


def test_a_copy_that_was_damaged_on_disk_is_not_sent(outbox, files, scripted, progress):
    outbox.add(files, "SCRIPTED")
    damaged = outbox.copy_of(outbox.entries()[1])
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    sent = []

    def on_store(event):
        sent.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    with scripted(store=on_store) as peer:
        deliveries = send(outbox, {"SCRIPTED": peer}, progress)

    assert sorted(delivery.ok for delivery in deliveries) == [False, True, True]
    assert len(sent) == 2
    (left,) = outbox.entries()
    assert "no longer what was put there" in left.reason


def test_copies_that_have_no_row_are_cleared(outbox, files):
    outbox.add(files, "PACS")
    (outbox.folder / "objects" / "orphan.dcm").write_bytes(b"")
    (outbox.folder / "objects" / ".partial-x.dcm").write_bytes(b"")
    with outbox.claimed():
        assert len(copies(outbox)) == 3


def test_certificates_that_are_missing_are_the_reason_why_an_object_stays(outbox, files, down, progress):
    outbox.add(files, "PACS")
    peer = dataclasses.replace(down, tls=Tls(ca=outbox.folder / "missing.pem"))
    deliveries = send(outbox, {"PACS": peer}, progress)
    assert all("missing.pem" in delivery.message for delivery in deliveries)
    assert {entry.state for entry in outbox.entries()} == {"waiting"}


def test_an_outbox_that_cannot_be_used_is_named(tmp_path, files):
    (tmp_path / "file").write_text("")
    with pytest.raises(PacsError, match="the outbox cannot be used"):
        Outbox(tmp_path / "file" / "outbox").entries()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "outbox.sqlite").write_text("this is no database" * 100)
    with pytest.raises(PacsError, match=r"the outbox cannot be used: .*not a database"):
        Outbox(tmp_path / "bad").add(files, "PACS")


def test_a_full_disk_leaves_the_outbox_as_it_was(outbox, files, monkeypatch):
    outbox.add(files[:1], "PACS")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(PacsError, match="No space left"):
        outbox.add(files, "PACS")
    assert len(outbox.entries()) == len(copies(outbox)) == 1


def test_objects_go_by_dicomweb_to_a_peer_that_stores_so(outbox, files, orthanc, progress):
    outbox.add(files, "ORTHANC")
    deliveries = send(outbox, {"ORTHANC": orthanc.peer(store="dicomweb")}, progress)
    assert all(delivery.ok for delivery in deliveries)
    assert {dcmread(file).SOPInstanceUID for file in files} <= set(orthanc.instances())


def test_one_object_leaves_as_the_next_goes_on_its_way(outbox, files, scripted, progress):
    outbox.add(files, "SCRIPTED")
    seen = []

    def on_store(_):
        seen.append([entry.state for entry in outbox.entries()])
        return 0x0000

    with scripted(store=on_store) as peer:
        send(outbox, {"SCRIPTED": peer}, progress)
    assert seen == [["sending", "waiting", "waiting"], ["sending", "waiting"], ["sending"]]


def test_the_object_after_one_that_failed_is_on_its_way_too(outbox, files, scripted, progress):
    outbox.add(files, "SCRIPTED")
    seen = []

    def on_store(_):
        seen.append([entry.state for entry in outbox.entries()])
        return 0xA700 if len(seen) == 1 else 0x0000

    with scripted(store=on_store) as peer:
        deliveries = send(outbox, {"SCRIPTED": peer}, progress)
    assert [delivery.ok for delivery in deliveries] == [False, True, True]
    assert seen[1:] == [["waiting", "sending", "waiting"], ["waiting", "sending"]]


def test_copies_are_for_the_users_eyes_only(outbox, files):
    outbox.add(files, "PACS")
    assert {copy.stat().st_mode & 0o777 for copy in copies(outbox)} == {0o600}
