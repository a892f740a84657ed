"""What was approved as a structure set beside the SEG, and a structure set back in Slicer."""

import json

import numpy as np
import pydicom
import scene
from servers import Orthanc
from tools import dciodvfy_errors, nativedl

from NativeDLLib.dicom.rtstruct_reader import read_structure_set
from NativeDLLib.regions.read_rtstruct import mask_of
from NativeDLLib.source import Series


def last_line(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_an_approval_is_stored_as_a_structure_set_too(accepted, tmp_path):
    with Orthanc(tmp_path / "orthanc") as orthanc:
        peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port}
        peers = tmp_path / "pacs.json"
        peers.write_text(json.dumps({"peers": [peer]}))

        command = accepted.command("--format", "seg,rtstruct", "--to", "ORTHANC", "--pacs", peers)
        assert nativedl(*command) == 0

        report, path = accepted.approved, accepted.folder / "approved" / "approved_rtstruct.dcm"
        uids = [report[kind]["sop_instance_uid"] for kind in ("segmentation", "structure_set")]
        assert orthanc.instances() == sorted(uids)
    dataset, series = pydicom.dcmread(path), Series.read([accepted.folder / "series"])
    assert dciodvfy_errors(path) == []
    assert (dataset.ApprovalStatus, str(dataset.ReviewerName)) == ("APPROVED", "Doe^Jane")
    for roi, mask in zip(read_structure_set(path).rois, np.moveaxis(accepted.masks, -1, 0), strict=True):
        assert (mask_of(series, roi.contours)[0] == mask).all()


def test_what_is_not_all_reviewed_is_not_approved_in_the_structure_set(reviewed):
    reviewed.decide(Liver="accepted")

    assert reviewed.approve("--unreviewed", "--format", "seg,rtstruct") == 0

    dataset = pydicom.dcmread(reviewed.folder / "approved" / "approved_rtstruct.dcm")
    assert dataset.ApprovalStatus == "UNAPPROVED"
    assert len(dataset.StructureSetROISequence) == 2


def test_an_approval_without_a_structure_set_removes_that_of_an_earlier_one(accepted):
    nativedl(*accepted.command("--format", "seg,rtstruct"))

    assert nativedl(*accepted.command("--overwrite")) == 0

    assert not (accepted.folder / "approved" / "approved_rtstruct.dcm").exists()
    assert accepted.approved["structure_set"] is None


def test_a_structure_set_opens_in_slicer_with_segments_that_overlap(accepted):
    overlapping = (accepted.labels == 1) | (accepted.labels == 2)
    scene.paint(accepted.node, "Kidney", overlapping, accepted.image, overwrite=False)
    assert accepted.approve("--format", "seg,rtstruct") == 0
    target = accepted.folder / "read.seg.nrrd"

    path = accepted.folder / "approved" / "approved_rtstruct.dcm"
    assert nativedl("read-rtstruct", path, "--input", accepted.folder / "series", "--output", target) == 0

    segments = scene.segments(scene.Scene().load(target))
    affine = np.array(accepted.image.GetDirection()).reshape(3, 3) * accepted.image.GetSpacing()
    for name, mask in {"Liver": accepted.labels == 1, "Kidney": overlapping}.items():
        expected = np.argwhere(mask)[:, ::-1] @ affine.T + accepted.image.GetOrigin()
        found = scene.places(segments[name])
        order = [np.lexsort(np.round(points, 2).T) for points in (found, expected)]
        np.testing.assert_allclose(found[order[0]], expected[order[1]], atol=0.01)
        assert scene.tag(segments[name], "TerminologyEntry").split("~")[2].split("^")[2] == name
    assert scene.tag(segments["Kidney"], "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"


def test_a_structure_set_of_another_frame_of_reference_is_refused(accepted, capsys):
    nativedl(*accepted.command("--format", "seg,rtstruct"))
    path, target = accepted.folder / "approved" / "approved_rtstruct.dcm", accepted.folder / "read.seg.nrrd"
    dataset = pydicom.dcmread(path)
    for item in dataset.StructureSetROISequence:
        item.ReferencedFrameOfReferenceUID = "1.2.3"
    dataset.save_as(path)

    assert nativedl("read-rtstruct", path, "--input", accepted.folder / "series", "--output", target) == 3

    assert "frame of reference" in last_line(capsys)
    assert not target.exists()
