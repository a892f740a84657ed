"""What is told about each object when a peer fails."""

import os
import signal
import threading

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    generate_uid,
)
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.sop_class import CTImageStorage
from servers import LOOPBACK, Storescp, free_port

from NativeDLLib.core.errors import InputError, PacsError
from NativeDLLib.pacs.association import echo, find
from NativeDLLib.pacs.peers import Peer, Timeouts
from NativeDLLib.pacs.store import store_each


@pytest.fixture
def files(make_series, tmp_path):
    return make_series(tmp_path / "series", 3)


def test_one_association_carries_many_objects(scripted, files, progress):
    associations = []

    def on_store(event):
        associations.append(event.assoc)
        return 0x0000

    with scripted(store=on_store) as peer:
        outcomes = list(store_each(peer, files))
    assert [outcome.path for outcome in outcomes] == files
    assert all(outcome.ok for outcome in outcomes)
    assert len(associations) == 3
    assert len(set(associations)) == 1


def test_the_bytes_of_the_data_set_are_sent_untouched(scripted, files, progress):
    received = []

    def on_store(event):
        received.append(event.encoded_dataset(include_meta=False))
        return 0x0000

    with scripted(store=on_store) as peer:
        list(store_each(peer, files))
    assert all(file.read_bytes().endswith(content) for file, content in zip(files, received, strict=True))


STATUSES = [
    (0x0000, True, "success"),
    (0x0111, True, "had it already"),
    (0xB000, True, "changed elements"),
    (0xB006, True, "discarded elements"),
    (0xB007, True, "does not match its SOP class"),
    (0xB123, False, "that the standard does not have"),
    (0x0110, False, "failed to process"),
    (0x0117, False, "SOP Instance UID invalid"),
    (0x0122, False, "does not take its SOP class"),
    (0x0124, False, "does not allow us"),
    (0x0210, False, "message ID used twice"),
    (0x0211, False, "does not know the operation"),
    (0x0212, False, "malformed"),
    (0xA700, False, "out of resources"),
    (0xA7FF, False, "out of resources"),
    (0xA900, False, "does not match its SOP class"),
    (0xC000, False, "cannot understand"),
    (0xCFFF, False, "cannot understand"),
    (0x0999, False, "unknown status"),
]


def test_every_status_comes_back_with_its_object_in_words(scripted, make_series, tmp_path, progress):
    files = make_series(tmp_path / "series", len(STATUSES))
    answers = []
    for status, _, _ in STATUSES:
        answers.append(Dataset())
        answers[-1].Status = status
        answers[-1].ErrorComment = "disk\t3"
    remaining = iter(answers)
    with scripted(store=lambda _: next(remaining)) as peer:
        outcomes = list(store_each(peer, files))
    for outcome, (status, ok, words) in zip(outcomes, STATUSES, strict=True):
        assert (outcome.status, outcome.ok, outcome.unclear) == (status, ok, False)
        assert words in outcome.message
        assert f"(status 0x{status:04X}: disk3)" in outcome.message


def test_a_class_that_the_peer_refuses_is_named(scripted, make_series, files, tmp_path, progress):
    (mr,) = make_series(tmp_path / "mr", 1, SOPClassUID=MRImageStorage)
    contexts = [build_context(CTImageStorage, [ExplicitVRLittleEndian])]
    with scripted(store=lambda _: 0x0000, contexts=contexts) as peer:
        outcomes = list(store_each(peer, [files[0], mr]))
    assert [outcome.ok for outcome in outcomes] == [True, False]
    assert "does not take objects of the class MR Image Storage" in outcomes[1].message


def test_a_peer_that_refuses_every_class_is_told_for_each_object(scripted, files, progress):
    with scripted(contexts=[build_context(MRImageStorage)]) as peer:
        outcomes = list(store_each(peer, files))
    assert all("does not take objects of the class CT Image Storage" in outcome.message for outcome in outcomes)
    assert not any(outcome.ok or outcome.unclear for outcome in outcomes)


def test_a_compressed_object_for_a_peer_without_that_syntax_is_not_sent(scripted, make_series, tmp_path, progress):
    (file,) = make_series(tmp_path / "j2k", 1, syntax=JPEG2000Lossless)
    with scripted(contexts=[build_context(CTImageStorage, [ExplicitVRLittleEndian])]) as peer:
        (outcome,) = store_each(peer, [file])
    assert not outcome.ok
    assert "takes CT Image Storage, but not in the transfer syntax JPEG 2000" in outcome.message


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_an_uncompressed_object_is_rewritten_for_a_peer_of_the_default_syntax(
    scripted, make_series, tmp_path, progress, syntax
):
    (file,) = make_series(tmp_path / "series", 1, syntax=syntax)
    received = []

    def on_store(event):
        received.append((event.context.transfer_syntax, event.dataset))
        return 0x0000

    with scripted(store=on_store, contexts=[build_context(CTImageStorage, [ImplicitVRLittleEndian])]) as peer:
        (outcome,) = store_each(peer, [file])
    assert outcome.ok
    (used, dataset), sent = received[0], dcmread(file)
    assert used == ImplicitVRLittleEndian
    assert (dataset.PixelData, dataset.SOPInstanceUID) == (sent.PixelData, sent.SOPInstanceUID)


def test_more_kinds_of_objects_than_contexts_take_several_associations(scripted, make_series, tmp_path, progress):
    kinds = sorted(str(context.abstract_syntax) for context in AllStoragePresentationContexts)[-65:]
    files = [make_series(tmp_path / kind, 1, SOPClassUID=kind)[0] for kind in kinds]
    accepted = [build_context(kind, [ExplicitVRLittleEndian]) for kind in kinds]
    associations = set()

    def on_store(event):
        associations.add(event.assoc)
        return 0x0000

    with scripted(store=on_store, contexts=accepted) as peer:
        outcomes = list(store_each(peer, files))
    assert [outcome.path for outcome in outcomes] == files
    assert len(associations) == 2


def test_an_association_that_dies_leaves_one_object_unclear_and_the_rest_unsent(scripted, files, progress):
    count = iter(range(3))

    def on_store(event):
        if next(count) == 1:
            event.assoc.abort()
        return 0x0000

    with scripted(store=on_store) as peer:
        outcomes = list(store_each(peer, files))
    assert [(outcome.ok, outcome.unclear) for outcome in outcomes] == [(True, False), (False, True), (False, False)]
    assert "ended the association, or did not answer within 20 s" in outcomes[1].message
    assert "not sent" in outcomes[2].message


def test_a_peer_that_does_not_answer_is_given_up(scripted, files, progress):
    done = threading.Event()

    def on_store(_):
        done.wait(20)
        return 0x0000

    with scripted(store=on_store, timeouts=Timeouts(dimse=0.3)) as peer:
        outcomes = list(store_each(peer, files[:2]))
        done.set()
    assert [(outcome.ok, outcome.unclear) for outcome in outcomes] == [(False, True), (False, False)]


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a POSIX signal")
def test_a_peer_that_stops_reading_does_not_hold_us(make_series, tmp_path):
    (small,) = make_series(tmp_path / "small", 1)
    large = tmp_path / "large.dcm"
    dataset = dcmread(small)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Rows = dataset.Columns = 4096
    dataset.PixelData = np.zeros((4096, 4096), np.uint16).tobytes()
    dataset.save_as(large)
    with Storescp(tmp_path / "scp") as server:
        peer = server.peer(timeouts=Timeouts(60, 60, 60, network=5))
        outcomes = store_each(peer, [small, large])
        assert next(outcomes).ok
        server.signal(signal.SIGSTOP)
        outcome = next(outcomes)
        outcomes.close()
        server.kill()
    assert (outcome.ok, outcome.unclear) == (False, True)


def test_a_peer_that_is_down_is_named_with_address_and_reason(files, progress):
    peer = Peer("PACS", "PACS", LOOPBACK, free_port())
    outcomes = list(store_each(peer, files))
    assert len(outcomes) == 3
    assert not any(outcome.ok or outcome.unclear for outcome in outcomes)
    assert f"PACS (PACS at 127.0.0.1:{peer.port}) cannot be reached: " in outcomes[0].message
    assert "refused" in outcomes[0].message


def test_a_host_name_that_does_not_exist_is_named():
    with pytest.raises(PacsError, match=r"PACS \(PACS at nowhere\.invalid:104\) cannot be reached"):
        echo(Peer("PACS", "PACS", "nowhere.invalid", 104))


def test_a_peer_that_does_not_know_us_is_told_with_its_reason(scripted):
    with (
        scripted(calling_only="FRIEND") as peer,
        pytest.raises(PacsError, match="rejected the association of NATIVEDL: calling ae title not recognised"),
    ):
        echo(peer)


def test_a_service_that_is_not_dicom_is_recognised(orthanc):
    peer = Peer("WEB", "WEB", LOOPBACK, orthanc.http_port, timeouts=Timeouts(acse=0.5))
    with pytest.raises(PacsError, match="took the connection, but no association came about"):
        echo(peer)


def test_a_service_that_the_peer_does_not_have_is_told(scripted):
    with scripted() as peer, pytest.raises(PacsError, match="accepts none of the services"):
        find(peer, "STUDY", {})


def test_a_file_that_is_no_dicom_is_refused_before_anything_is_sent(scripted, files, tmp_path, progress):
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM")
    sent = []
    with scripted(store=sent.append) as peer, pytest.raises(InputError, match=r"notes\.txt: is not a DICOM file"):
        list(store_each(peer, [files[0], text]))
    assert sent == []


def test_a_file_whose_meta_information_names_another_object_is_refused(files, progress):
    dataset = dcmread(files[0])
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.save_as(files[0])
    with pytest.raises(InputError, match=r"names the object 1\.2\.3"):
        list(store_each(Peer("PACS", "PACS", LOOPBACK, 1), files))


def test_dcmtk_receives_what_was_sent(make_series, tmp_path, progress):
    files = make_series(tmp_path / "series", 3, syntax=JPEGLSLossless)
    with Storescp(tmp_path / "scp", "+xa") as server:
        outcomes = list(store_each(server.peer(), files))
        received = {dcmread(file).SOPInstanceUID: dcmread(file) for file in server.files()}
    assert all(outcome.ok for outcome in outcomes)
    assert all(received[dcmread(file).SOPInstanceUID].PixelData == dcmread(file).PixelData for file in files)
