"""Finding, retrieving and storing with a real PACS over DIMSE."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from NativeDLLib.core.errors import CancelledError, PacsError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.association import echo, find, inventory
from NativeDLLib.pacs.retrieve import retrieve
from NativeDLLib.pacs.store import store_each

pytestmark = pytest.mark.usefixtures("orthanc")


@pytest.fixture(scope="module")
def stored(orthanc, make_series, tmp_path_factory):
    """The headers of a series of four instances that Orthanc has."""
    files = make_series(
        tmp_path_factory.mktemp("stored"), 4, PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 192"
    )
    assert all(outcome.ok for outcome in store_each(orthanc.peer(), files))
    return [dcmread(file) for file in files]


def test_it_answers_an_echo(orthanc):
    assert 0 < echo(orthanc.peer()) < 10


@pytest.mark.parametrize(
    ("level", "keyword"),
    [
        ("PATIENT", "PatientID"),
        ("STUDY", "StudyInstanceUID"),
        ("SERIES", "SeriesInstanceUID"),
        ("IMAGE", "SOPInstanceUID"),
    ],
)
def test_it_is_searched_at_every_level(orthanc, stored, level, keyword):
    one = stored[0]
    keys = {"PATIENT": {"PatientID": one.PatientID}, "STUDY": {"PatientID": one.PatientID}}.get(level)
    keys = keys or {"StudyInstanceUID": one.StudyInstanceUID, "SeriesInstanceUID": one.SeriesInstanceUID}
    matches = find(orthanc.peer(), level, keys)
    assert {match[keyword].value for match in matches} == {dataset[keyword].value for dataset in stored}


def test_a_name_with_umlauts_is_found_and_read_right(orthanc, stored):
    matches = find(orthanc.peer(), "STUDY", {"PatientName": "Müller*", "PatientID": stored[0].PatientID})
    assert [str(match.PatientName) for match in matches] == ["Müller^Änne"]


@pytest.mark.parametrize(
    ("level", "keys", "message"),
    [
        ("SERIES", {}, "within one StudyInstanceUID"),
        ("IMAGE", {"StudyInstanceUID": "1.2"}, "within one SeriesInstanceUID"),
        ("STUDY", {"PatientColour": "x"}, "'PatientColour' is not a DICOM keyword"),
        ("FRAME", {}, "'FRAME' is not a query level"),
    ],
)
def test_a_query_that_makes_no_sense_is_not_sent(orthanc, level, keys, message):
    with pytest.raises(UsageError, match=message):
        find(orthanc.peer(), level, keys)


def test_the_inventory_of_a_study_lists_the_instances_of_all_its_series(orthanc, stored):
    listed = inventory(orthanc.peer(), stored[0].StudyInstanceUID, None)
    assert listed == {dataset.SOPInstanceUID: dataset.SOPClassUID for dataset in stored}


@pytest.mark.parametrize("how", ["get", "move"])
@pytest.mark.parametrize("whole_study", [False, True])
def test_what_is_retrieved_is_what_was_stored(orthanc, stored, tmp_path, progress, how, whole_study):
    one = stored[0]
    series = None if whole_study else one.SeriesInstanceUID
    files = retrieve(orthanc.peer(retrieve=how), one.StudyInstanceUID, series, tmp_path, progress)
    assert sorted(file.name for file in files) == sorted(f"{dataset.SOPInstanceUID}.dcm" for dataset in stored)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    by_uid = {dataset.SOPInstanceUID: dataset for dataset in stored}
    assert all(dcmread(file) == by_uid[file.stem] for file in files)


@pytest.mark.parametrize("how", ["get", "move"])
@pytest.mark.parametrize(
    "syntax",
    [JPEG2000Lossless, JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian],
    ids=lambda syntax: syntax.name.split(" Image")[0],
)
def test_an_object_goes_there_and_back_in_its_own_transfer_syntax(
    orthanc, make_series, tmp_path, progress, syntax, how
):
    (file,) = make_series(tmp_path / "sent", 1, syntax=syntax)
    sent = dcmread(file)
    (outcome,) = store_each(orthanc.peer(), [file])
    assert (outcome.ok, outcome.status) == (True, 0)
    uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID)
    (back,) = retrieve(orthanc.peer(retrieve=how), *uids, tmp_path / "back", progress)
    received = dcmread(back)
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    assert received.file_meta.TransferSyntaxUID in (plain if syntax in plain else (syntax,))
    assert received.PixelData == sent.PixelData


@pytest.mark.parametrize("how", ["get", "move"])
def test_a_series_that_is_not_there_is_an_error_and_leaves_nothing(orthanc, stored, tmp_path, progress, how):
    with pytest.raises(PacsError, match=r"ORTHANC .* has no instance of the series 1\.2\.3"):
        retrieve(orthanc.peer(retrieve=how), stored[0].StudyInstanceUID, "1.2.3", tmp_path, progress)
    assert list(tmp_path.iterdir()) == []


def test_a_move_to_an_ae_title_that_the_pacs_does_not_know_says_so(orthanc, stored, tmp_path, progress):
    peer = orthanc.peer(retrieve="move", calling_ae_title="STRANGER")
    one = stored[0]
    with pytest.raises(PacsError, match="refused the C-MOVE request"):
        retrieve(peer, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path, progress)


def test_a_move_port_that_is_taken_is_named(orthanc, stored, tmp_path, progress):
    peer = orthanc.peer(retrieve="move", move_port=orthanc.http_port)
    one = stored[0]
    with pytest.raises(PacsError, match=f"cannot listen on 127.0.0.1:{orthanc.http_port}"):
        retrieve(peer, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path, progress)


class _CancelAfterFirst(Progress):
    def update(self, stage, fraction):
        self.cancel()


@pytest.mark.parametrize("how", ["get", "move"])
def test_a_cancelled_retrieval_leaves_nothing(orthanc, stored, tmp_path, progress, how):
    one = stored[0]
    uids = (one.StudyInstanceUID, one.SeriesInstanceUID)
    with pytest.raises(CancelledError):
        retrieve(orthanc.peer(retrieve=how), *uids, tmp_path, _CancelAfterFirst())
    assert list(tmp_path.iterdir()) == []


def test_a_real_series_is_stored_as_it_is(orthanc, real_data, progress):
    files = sorted(Path(real_data, "upper_abdomen_ct_dicom").glob("*.dcm"))[:3]
    assert [outcome.message for outcome in store_each(orthanc.peer(), files)] == ["success (status 0x0000)"] * 3
