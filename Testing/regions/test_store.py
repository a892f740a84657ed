"""The commands: regions of a result, and the validated ones as a structure set."""

import json

import numpy as np
import pydicom
import pytest
import scene
from servers import Orthanc
from tools import dciodvfy_errors, nativedl

from NativeDLLib.dicom.rtstruct_reader import read_structure_set
from NativeDLLib.regions.read_rtstruct import mask_of
from NativeDLLib.regions.region import read_regions
from NativeDLLib.source import Series


@pytest.fixture
def regions(reviewed):
    return reviewed.folder / "regions.json"


def source(reviewed):
    return ["--input", reviewed.folder / "series"]


def propose(reviewed, *more, result="out"):
    target = reviewed.folder / "regions.json"
    return nativedl("regions", "--result", reviewed.folder / result, *source(reviewed), "--output", target, *more)


def store(reviewed, *more, reviewer="Dr. Jane Doe"):
    given = ["--regions", reviewed.folder / "regions.json", "--reviewer", reviewer]
    return nativedl("rtstruct", *given, *source(reviewed), "--output", reviewed.folder / "stored", *more)


def judge(path, **statuses):
    """Give regions a status by their number in the file, as the panel does."""
    data = json.loads(path.read_text())
    for index, status in statuses.items():
        data["regions"][int(index.lstrip("n"))]["status"] = status
    path.write_text(json.dumps(data))
    return data["regions"]


def last_line(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_the_regions_of_a_result_bound_its_segments(reviewed, regions):
    assert propose(reviewed) == 0

    series, found = Series.read([reviewed.folder / "series"]), read_regions(regions)
    assert found.series.series_instance_uid == series.uid
    for number in (1, 2):
        mask, _ = mask_of(series, [r.points for r in found.regions if r.segment.number == number])
        assert (mask == (reviewed.labels == number)).all()
    assert {r.status for r in found.regions} == {"proposed"}
    assert [segment.name for segment, _ in found.segments] == ["Liver", "Kidney", "Spleen"]


def test_the_displayed_slice_alone_can_be_asked_for(reviewed, regions):
    shown = Series.read([reviewed.folder / "series"]).instances[4].text("SOPInstanceUID")

    assert propose(reviewed, "--slice", shown) == 0

    assert {(r.slice_index, r.sop_instance_uid) for r in read_regions(regions).regions} == {(4, shown)}


def test_a_slice_with_nothing_on_it_has_no_regions_and_says_so(reviewed, regions, capsys):
    assert propose(reviewed, "--slice", "0") == 0

    assert read_regions(regions).regions == ()
    assert "no region is proposed" in capsys.readouterr().err


@pytest.mark.parametrize("tolerance", ["-1", "11", "nan"])
def test_a_tolerance_that_makes_no_sense_is_refused(reviewed, regions, capsys, tolerance):
    assert propose(reviewed, "--tolerance", tolerance) == 2

    assert "tolerance: " in last_line(capsys)
    assert not regions.exists()


def test_only_validated_regions_are_stored(reviewed, regions, capsys):
    propose(reviewed)
    rows = judge(regions, n0="validated", n1="rejected", n2="validated")

    assert store(reviewed) == 0

    path = reviewed.folder / "stored" / "rtstruct.dcm"
    stored = [points for roi in read_structure_set(path).rois for points in roi.contours]
    np.testing.assert_allclose(np.concatenate(stored), np.concatenate([rows[0]["points"], rows[2]["points"]]))
    assert dciodvfy_errors(path) == []
    dataset = pydicom.dcmread(path)
    assert (dataset.ApprovalStatus, str(dataset.ReviewerName)) == ("APPROVED", "Doe^Jane^^Dr.")
    report = json.loads((path.parent / "rtstruct.json").read_text())
    assert report["decisions"] == {"validated": 2, "rejected": 1, "proposed": len(rows) - 3}
    assert report["structure_set"]["sop_instance_uid"] == dataset.SOPInstanceUID
    assert "Doe" not in capsys.readouterr().out


def test_nothing_validated_is_nothing_to_store(reviewed, regions, capsys):
    propose(reviewed)

    assert store(reviewed) == 2

    assert "none of its" in last_line(capsys)
    assert not (reviewed.folder / "stored").exists()


def test_a_stored_structure_set_is_only_replaced_when_asked(reviewed, regions, capsys):
    propose(reviewed)
    judge(regions, n0="validated")

    assert [store(reviewed), store(reviewed), store(reviewed, "--overwrite")] == [0, 2, 0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["series"].update(study_instance_uid="1.2.3"), "are not those of series"),
        (lambda data: data["regions"][0].update(slice=7), "is not on slice 7"),
        (lambda data: data["regions"][0].update(slice=99), "is not on slice 99"),
        (lambda data: data["regions"][0].update(sop_instance_uid="1.2"), "is not on slice"),
        (lambda data: data["regions"][0].update(frame=1), "is not on slice"),
        (lambda data: data["regions"][0]["points"][0].__setitem__(2, 0.0), "is not within its slice"),
        (lambda data: data["series"].update(series_instance_uid="1.2.3"), "1.2.3"),
    ],
)
def test_regions_that_are_not_on_the_slices_are_refused(reviewed, regions, capsys, change, told):
    propose(reviewed)
    judge(regions, n0="validated")
    data = json.loads(regions.read_text())
    change(data)
    regions.write_text(json.dumps(data))

    assert store(reviewed) == 3

    assert told in last_line(capsys)
    assert not (reviewed.folder / "stored").exists()


def test_the_validated_regions_reach_orthanc(reviewed, regions, tmp_path):
    propose(reviewed)
    judge(regions, n0="validated")
    with Orthanc(tmp_path / "orthanc") as orthanc:
        peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port}
        peers = tmp_path / "pacs.json"
        peers.write_text(json.dumps({"peers": [peer]}))

        assert store(reviewed, "--to", "ORTHANC", "--pacs", peers) == 0

        stored = pydicom.dcmread(reviewed.folder / "stored" / "rtstruct.dcm")
        assert orthanc.instances() == [stored.SOPInstanceUID]
        (series,) = orthanc.get("/series?expand")
        assert series["MainDicomTags"]["Modality"] == "RTSTRUCT"


def test_regions_of_an_approved_result_are_those_of_its_seg(accepted, regions):
    mask = accepted.labels == 2
    mask[3, 22:25, 26:30] = False
    scene.paint(accepted.node, "Kidney", mask, accepted.image)
    assert accepted.approve() == 0

    assert propose(accepted, result="approved") == 0

    series, found = Series.read([accepted.folder / "series"]), read_regions(regions)
    assert [(segment.name, kind) for segment, kind in found.segments] == [
        ("Liver", "AUTOMATIC"),
        ("Kidney", "SEMIAUTOMATIC"),
    ]
    drawn, _ = mask_of(series, [r.points for r in found.regions if r.segment.name == "Kidney"])
    assert (drawn == mask).all()


def test_a_source_must_be_named(reviewed, regions, capsys):
    assert nativedl("regions", "--result", reviewed.out, "--output", regions) == 2

    assert "name one source" in last_line(capsys)


def test_a_folder_without_a_result_is_refused(reviewed, regions, capsys):
    (reviewed.folder / "empty").mkdir()

    assert propose(reviewed, result="empty") == 3

    assert "report.json" in last_line(capsys)


def test_a_report_of_an_approval_that_is_damaged_is_refused(accepted, regions, capsys):
    nativedl(*accepted.command())
    report = accepted.folder / "approved" / "approved.json"
    report.write_text("[]")
    assert propose(accepted, result="approved") == 3
    assert "approved.json: top level: [] is not of type" in last_line(capsys)


def test_a_seg_that_is_damaged_is_refused(accepted, regions, capsys):
    nativedl(*accepted.command())
    accepted.path.write_bytes(accepted.path.read_bytes()[:3000])

    assert propose(accepted, result="approved") == 3

    assert "approved.dcm" in last_line(capsys)


def test_decisions_about_regions_are_given_without_editing_the_file(reviewed, regions, capsys):
    propose(reviewed)
    first, second, *_ = [region.id for region in read_regions(regions).regions]
    before = regions.read_bytes()

    assert store(reviewed, "--validate", first, "--reject", second) == 0

    report = json.loads((reviewed.folder / "stored" / "rtstruct.json").read_text())
    assert (report["decisions"]["validated"], report["decisions"]["rejected"]) == (1, 1)
    assert regions.read_bytes() == before
    assert store(reviewed, "--validate", "9.9.9", "--overwrite") == 2
    assert "has no region '9.9.9'" in last_line(capsys)
    assert store(reviewed, "--validate", first, "--reject", first, "--overwrite") == 2
