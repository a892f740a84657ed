"""What is not approved: results of something else, series that are not the source, reviewers without a name."""

import json

import factories
import pytest
import SimpleITK as sitk
from tools import nativedl


def changed_report(reviewed, change):
    path = reviewed.out / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))


REPORTS = {
    "tells of no algorithm": lambda report: report.pop("algorithm"),
    "tells of no series": lambda report: report.pop("series"),
    "tells of no segments": lambda report: report.update(segments=[]),
    "segments: None is not of type": lambda report: report.update(segments=None),
    "segments[0] (Liver).number: 0 is less than": lambda report: report["segments"][0].update(number=0),
    "segments[0] (Liver).type: None is not of type": lambda report: report["segments"][0].update(type=None),
    "segments[0] (Liver).color: [1, 2] is too short": lambda report: report["segments"][0].update(color=[1, 2]),
    "segments[0] (Liver).type: 'value' is missing": lambda report: report["segments"][0].update(type={"worth": 1}),
    "segmentation.type: 'PICTURE' is not one of": lambda report: report["segmentation"].update(type="PICTURE"),
    "segmentation.sop_instance_uid: '../../etc'": lambda report: report["segmentation"].update(
        sop_instance_uid="../../etc"
    ),
    "algorithm.parameters: 3 is not of type": lambda report: report["algorithm"].update(parameters=3),
}


@pytest.mark.parametrize("wrong", REPORTS)
def test_a_report_that_is_none_is_refused_with_what_is_wrong_in_it(accepted, wrong, capsys):
    changed_report(accepted, REPORTS[wrong])

    assert f"report.json: {wrong}" in accepted.refused(capsys)


def test_a_folder_without_result_is_refused(accepted, capsys):
    (accepted.out / "report.json").unlink()

    assert "report.json: cannot be read (No such file" in accepted.refused(capsys)


def test_a_result_without_its_label_map_is_refused(accepted, capsys):
    (accepted.out / "segmentation.nii.gz").unlink()

    assert "segmentation.nii.gz: does not exist" in accepted.refused(capsys)


def test_a_label_map_of_another_grid_is_refused(accepted, capsys):
    path = accepted.out / "segmentation.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(path))[1:, :, :], str(path))

    assert "segmentation.nii.gz: is not on the slices of series" in accepted.refused(capsys)


def test_a_result_of_an_image_without_dicom_origin_has_no_seg(accepted, capsys):
    changed_report(accepted, lambda report: report["series"].update(series_instance_uid=None))

    assert "is of an image that does not come from DICOM" in accepted.refused(capsys)


def test_a_result_that_found_nothing_can_be_drawn_on(reviewed):
    changed_report(reviewed, lambda report: report.update(segmentation=None))
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    assert reviewed.approved["predecessor"] is None


def test_another_series_is_not_the_source(accepted, capsys):
    factories.ct_series(accepted.folder / "other")

    line = accepted.refused(capsys, "--input", accepted.folder / "other")

    assert "holds no image series" in line


def test_another_series_uid_is_not_that_of_the_result(accepted, capsys):
    assert "series 1.2.3: the result in" in accepted.refused(capsys, "--series", "1.2.3")


def test_the_source_must_be_named_once(accepted, capsys):
    listing = accepted.folder / "list.txt"
    command = [*accepted.command("--files", listing), "--database", accepted.folder]

    assert nativedl(*command) == 2
    assert "name one source" in capsys.readouterr().err


def test_a_peer_that_nobody_knows_is_refused_before_anything_is_done(accepted, capsys):
    peers = accepted.folder / "pacs.json"
    peers.write_text(json.dumps({"peers": []}))

    assert "NOBODY" in accepted.refused(capsys, "--to", "NOBODY", "--pacs", peers, code=2)


def test_a_reviewer_without_name_is_refused(accepted, capsys):
    assert "the reviewer's name is empty" in accepted.refused(capsys, reviewer=" ^ ", code=2)
