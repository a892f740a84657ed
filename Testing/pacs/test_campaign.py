"""The promise of the outbox: whatever dies or refuses on the way, in the end the PACS has every object exactly once."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import MRImageStorage
from pynetdicom import build_context
from servers import Orthanc, wait_until

from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.delivery import send
from NativeDLLib.pacs.outbox import Outbox

ROOT = Path(__file__).parents[2]
COUNT = 24


@pytest.fixture
def pacs(tmp_path):
    with Orthanc(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture
def outbox(tmp_path, monkeypatch, make_series):
    monkeypatch.setenv("NATIVEDL_OUTBOX", str(tmp_path / "outbox"))
    outbox = Outbox()
    outbox.add(make_series(tmp_path / "series", COUNT), "ORTHANC")
    return outbox


@pytest.fixture
def uids(outbox):
    return sorted(entry.sop_instance_uid for entry in outbox.entries())


@pytest.fixture
def start_sender(tmp_path):
    """Start our own program as a process that sends what is in the outbox."""
    started = []

    def start(peer):
        file = tmp_path / "pacs.json"
        address = {"name": "ORTHANC", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
        file.write_text(json.dumps({"peers": [address]}))
        command = [sys.executable, "-m", "NativeDLLib", "outbox", "send", "--pacs", str(file)]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def everything_arrives(outbox, pacs, uids):
    send(outbox, {"ORTHANC": pacs.peer()}, Progress(), only_due=False)
    return outbox.entries() == [] and pacs.instances() == uids and not list((outbox.folder / "objects").iterdir())


def test_our_process_is_killed_amid_a_send(outbox, pacs, uids, start_sender):
    for kills in (4, 10, 16):
        sender = start_sender(pacs.peer())
        wait_until(lambda n=kills: pacs.count() >= n, f"{kills} objects arrive")
        sender.kill()
        sender.wait()
        assert outbox.entries(), "killed too late to prove anything"
    assert everything_arrives(outbox, pacs, uids)


def test_the_pacs_is_killed_amid_a_send(outbox, pacs, uids):
    for kills in (4, 10, 16):
        sender = threading.Thread(
            target=send, args=(outbox, {"ORTHANC": pacs.peer()}, Progress()), kwargs={"only_due": False}
        )
        sender.start()
        wait_until(lambda n=kills: pacs.count() >= n, f"{kills} objects arrive")
        pacs.kill()
        sender.join()
        left = outbox.entries()
        assert left, "killed too late to prove anything"
        assert all(entry.reason for entry in left)
        pacs.start()
    assert everything_arrives(outbox, pacs, uids)


def test_peer_and_process_die_together(outbox, pacs, uids, start_sender):
    sender = start_sender(pacs.peer())
    wait_until(lambda: pacs.count() >= 5, "5 objects arrive")
    pacs.kill()
    sender.kill()
    sender.wait()
    pacs.start()
    assert everything_arrives(outbox, pacs, uids)


def test_two_processes_at_the_same_time_send_each_object_once(outbox, uids, scripted, start_sender):
    sent, begun, second_ended = [], threading.Event(), threading.Event()

    def on_store(event):
        sent.append(str(event.request.AffectedSOPInstanceUID))
        begun.set()
        second_ended.wait(20)
        return 0x0000

    with scripted(store=on_store) as peer:
        first = start_sender(peer)
        assert begun.wait(20)
        second = start_sender(peer)
        _, complaint = second.communicate(timeout=20)
        second_ended.set()
        first.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 5)
    assert b"another process is sending it" in complaint
    assert sorted(sent) == uids
    assert outbox.entries() == []


def fails_with(*statuses):
    remaining = iter(statuses)
    return lambda _: next(remaining, statuses[-1])


def aborts_after(count):
    remaining = iter(range(count))

    def on_store(event):
        if next(remaining, None) is None:
            event.assoc.abort()
        return 0xC000

    return on_store


FAILURES = {
    "out of resources": {"store": fails_with(0xA700)},
    "cannot understand": {"store": fails_with(0xC000, 0xA900, 0x0110, 0x0122, 0x0124)},
    "aborts at once": {"store": aborts_after(0)},
    "aborts in the middle": {"store": aborts_after(7)},
    "rejects the association": {"calling_only": "FRIEND"},
    "refuses the context": {"contexts": [build_context(MRImageStorage)]},
}


def test_every_kind_of_failure_comes_before_the_delivery(outbox, pacs, uids, scripted):
    for name, behaviour in FAILURES.items():
        with scripted(**behaviour) as failing:
            deliveries = send(outbox, {"ORTHANC": failing}, Progress(), only_due=False)
        assert len(deliveries) == COUNT, name
        assert not any(delivery.ok for delivery in deliveries), name
        assert len(outbox.entries()) == COUNT, name
    assert all(entry.attempts == len(FAILURES) for entry in outbox.entries())
    assert everything_arrives(outbox, pacs, uids)


def _add_until_killed(folder, files, peers):
    outbox = Outbox(folder)
    for peer in peers:
        outbox.add(files, peer)


def test_a_process_killed_while_it_adds_leaves_all_or_none(tmp_path, make_series):
    files = make_series(tmp_path / "series", 40)
    folder = tmp_path / "outbox"
    Outbox(folder).entries()
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    adder = context.Process(target=_add_until_killed, args=(folder, files, [f"P{n}" for n in range(1000)]))
    adder.start()
    wait_until(lambda: len(list(folder.glob("objects/*.dcm"))) > 100, "copies are made")
    adder.kill()
    adder.join()
    outbox = Outbox(folder)
    with outbox.claimed() as entries:
        assert len(entries) % len(files) == 0
        assert sorted(entry.file for entry in entries) == sorted(copy.name for copy in (folder / "objects").iterdir())
    assert all(dcmread(outbox.copy_of(entry)).SOPInstanceUID == entry.sop_instance_uid for entry in entries[:5])
