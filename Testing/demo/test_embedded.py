"""The embedded PACS, judged by DCMTK and by our own client."""

import subprocess

import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless
from servers import LOOPBACK, require

from NativeDLLib.core.errors import PacsError
from NativeDLLib.demo.pacs_server import EmbeddedPacs
from NativeDLLib.pacs.association import echo, find, inventory
from NativeDLLib.pacs.peers import Peer, Timeouts
from NativeDLLib.pacs.retrieve import retrieve
from NativeDLLib.pacs.store import store_each

AE_TITLE = "NATIVEDL-PACS"


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    with EmbeddedPacs(tmp_path_factory.mktemp("pacs")) as server:
        yield server


@pytest.fixture(scope="module")
def peer(pacs):
    return Peer("DEMO", AE_TITLE, LOOPBACK, pacs.port, timeouts=Timeouts(60, 60, 60, 60))


def dcmtk(name, *arguments, folder=None):
    """Run one of DCMTK's commands and return what it printed."""
    command = [require(f"/usr/bin/{name}", "dcmtk"), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def kept(pacs):
    """Return the SOP Instance UIDs of the objects in its folder."""
    return {file.stem for file in pacs.folder.glob("*.dcm")}


def address(pacs):
    return ["-aec", AE_TITLE, LOOPBACK, pacs.port]


def test_dcmtk_stores_finds_and_gets(pacs, make_series, tmp_path):
    files = make_series(tmp_path / "series", 3, PatientID="DCMTK")
    one = dcmread(files[0])
    uids = sorted(dcmread(file).SOPInstanceUID for file in files)
    dcmtk("echoscu", *address(pacs))
    dcmtk("storescu", *address(pacs), *files)
    assert set(uids) <= kept(pacs)

    found = dcmtk(
        "findscu",
        "-S",
        *address(pacs),
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        "PatientID=DCM*",
        "-k",
        "StudyInstanceUID",
    )
    assert one.StudyInstanceUID in found

    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={one.StudyInstanceUID}"]
    keys += ["-k", f"SeriesInstanceUID={one.SeriesInstanceUID}"]
    got = tmp_path / "got"
    got.mkdir()
    dcmtk("getscu", "-S", *address(pacs), *keys, folder=got)
    assert sorted(dcmread(file).SOPInstanceUID for file in got.iterdir()) == uids


def test_dcmsend_stores_a_folder_of_compressed_objects(pacs, make_series, tmp_path):
    files = make_series(tmp_path / "series", 3, syntax=JPEGLSLossless)
    dcmtk("dcmsend", "--scan-directories", "--decompress-never", *address(pacs), tmp_path / "series")
    assert {dcmread(file).SOPInstanceUID for file in files} <= kept(pacs)


def test_our_own_client_gets_back_what_it_stored(peer, make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 3)
    assert all(outcome.ok for outcome in store_each(peer, files))
    one = dcmread(files[0])
    back = retrieve(peer, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path / "back", progress)
    stored = {dcmread(file).SOPInstanceUID: dcmread(file) for file in files}
    assert {file.stem: dcmread(file) for file in back} == stored


def test_it_counts_and_summarises(peer, make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 3, PatientID="COUNT")
    list(store_each(peer, files))
    (study,) = find(peer, "STUDY", {"PatientID": "COUNT"})
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (1, 3)
    assert study.ModalitiesInStudy == "CT"
    assert len(find(peer, "PATIENT", {"PatientID": "COUNT"})) == 1
    assert len(inventory(peer, study.StudyInstanceUID, None)) == 3


def test_an_object_stored_twice_is_there_once(pacs, peer, make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 1)
    list(store_each(peer, files))
    list(store_each(peer, files))
    assert len(inventory(peer, dcmread(files[0]).StudyInstanceUID, None)) == 1


def test_an_object_without_a_study_is_refused(peer, make_series, tmp_path, progress):
    (file,) = make_series(tmp_path / "sent", 1)
    dataset = dcmread(file)
    del dataset.StudyInstanceUID
    dataset.save_as(file)
    (outcome,) = store_each(peer, [file])
    assert (outcome.ok, outcome.status) == (False, 0xA900)


def test_an_object_whose_uid_is_a_path_stays_out_of_the_file_system(pacs, peer, make_series, tmp_path, progress):
    (file,) = make_series(tmp_path / "sent", 1)
    dataset = dcmread(file)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "../../outside"
    dataset.save_as(file)
    before = kept(pacs)
    (outcome,) = store_each(peer, [file])
    assert not outcome.ok
    assert kept(pacs) == before
    assert not list(tmp_path.rglob("outside*"))


def test_what_it_stored_is_there_after_a_restart(make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 2)
    with EmbeddedPacs(tmp_path / "pacs") as first:
        list(store_each(Peer("DEMO", AE_TITLE, LOOPBACK, first.port), files))
    (tmp_path / "pacs" / "damaged.dcm").write_bytes(b"damaged")
    with EmbeddedPacs(tmp_path / "pacs") as second:
        again = Peer("DEMO", AE_TITLE, LOOPBACK, second.port)
        (study,) = find(again, "STUDY", {})
        assert set(inventory(again, study.StudyInstanceUID, None)) == {dcmread(file).SOPInstanceUID for file in files}


def test_a_port_that_is_taken_is_named(pacs, tmp_path):
    with pytest.raises(PacsError, match=f"cannot listen on port {pacs.port}"), EmbeddedPacs(tmp_path, port=pacs.port):
        pass


def test_its_port_is_closed_after_the_block(tmp_path):
    with EmbeddedPacs(tmp_path) as server:
        peer = Peer("DEMO", AE_TITLE, LOOPBACK, server.port, timeouts=Timeouts(connect=1))
        assert echo(peer) > 0
    with pytest.raises(PacsError, match="cannot be reached"):
        echo(peer)
