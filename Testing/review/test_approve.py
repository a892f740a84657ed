"""A result edited in Slicer's own scene, saved by Slicer's own writer, becomes the SEG of what was approved."""

import json
import sqlite3
import subprocess
from contextlib import closing

import highdicom as hd
import numpy as np
import pydicom
import pytest
import scene
import SimpleITK as sitk
from servers import Orthanc
from tools import dciodvfy_errors, dcmqi, nativedl

from NativeDLLib.dicom import Series

BONE = "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^272673000^Bone~^^~"
BONE += "Anatomic codes - DICOM master list~SCT^421060004^Vertebral column~^^"


def approved(reviewed):
    return hd.seg.segread(reviewed.folder / "approved" / "approved.dcm")


def masks(reviewed):
    """Return (z, y, x, segment) of the approved SEG on the slices of the source."""
    series = Series.read([reviewed.folder / "series"])
    uids = [instance.text("SOPInstanceUID") for instance in series.instances]
    return approved(reviewed).get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True).astype(bool)


def by_dcmqi(reviewed):
    """Return the masks (z, y, x) that dcmqi reads, on the grid of the source, by Segment Number."""
    folder = reviewed.folder / "dcmqi"
    folder.mkdir()
    path = reviewed.folder / "approved" / "approved.dcm"
    command = [dcmqi("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder]
    subprocess.run(command, check=True, capture_output=True)
    read = [sitk.ReadImage(str(file)) for file in sorted(folder.glob("*.nrrd"))]
    near = sitk.sitkNearestNeighbor
    return [sitk.GetArrayFromImage(sitk.Resample(i, reviewed.image, sitk.Transform(), near, 0)) > 0 for i in read]


def described(seg):
    return [(s.SegmentNumber, s.SegmentLabel, s.SegmentAlgorithmType) for s in seg.SegmentSequence]


@pytest.mark.parametrize("crop", [False, True])
def test_what_was_only_accepted_stays_automatic_voxel_for_voxel(reviewed, crop):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve(crop=crop) == 0

    assert described(approved(reviewed)) == [(1, "Liver", "AUTOMATIC"), (2, "Kidney", "AUTOMATIC")]
    for number, mask in enumerate(by_dcmqi(reviewed), 1):
        assert np.array_equal(masks(reviewed)[..., number - 1], reviewed.labels == number)
        assert np.array_equal(mask, reviewed.labels == number)
    assert reviewed.approved["outcome"] == "approved"
    assert reviewed.rows["Liver"].changed_voxels == 0
    assert reviewed.rows["Spleen"].decision == "empty"
    assert reviewed.rows["Spleen"].number is None


def test_a_corrected_segment_is_semiautomatic_and_foreign_tools_find_every_voxel(reviewed):
    mask = reviewed.labels == 1
    mask[0:2, 3:9, 30:38] = True
    mask[:, :10] = False
    scene.paint(reviewed.node, "Liver", mask, reviewed.image)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    seg = approved(reviewed)
    assert described(seg) == [(1, "Liver", "SEMIAUTOMATIC"), (2, "Kidney", "AUTOMATIC")]
    assert seg.SegmentSequence[0].SegmentAlgorithmName == "bright"
    assert np.array_equal(masks(reviewed)[..., 0], mask)
    liver, kidney = by_dcmqi(reviewed)
    assert np.array_equal(liver, mask)
    assert np.array_equal(kidney, reviewed.labels == 2)
    assert reviewed.rows["Liver"].changed_voxels == np.count_nonzero(mask != (reviewed.labels == 1))
    assert reviewed.rows["Liver"].volume_ml == pytest.approx(mask.sum() * 2.5 / 1000, abs=1e-3)
    assert dciodvfy_errors(reviewed.folder / "approved" / "approved.dcm") == []


def test_a_rejected_segment_is_left_out_and_the_others_are_counted_anew(reviewed):
    reviewed.decide(Liver="rejected", Kidney="accepted")

    assert reviewed.approve() == 0

    assert described(approved(reviewed)) == [(1, "Kidney", "AUTOMATIC")]
    assert np.array_equal(masks(reviewed)[..., 0], reviewed.labels == 2)
    assert reviewed.rows["Liver"].decision == "rejected"
    assert (reviewed.rows["Kidney"].number, reviewed.rows["Kidney"].automatic_number) == (1, 2)


def test_a_segment_that_was_deleted_is_reported_as_removed(reviewed):
    reviewed.node.GetSegmentation().RemoveSegment(scene.identifier(reviewed.node, "Kidney"))
    reviewed.decide(Liver="accepted")

    assert reviewed.approve() == 0

    assert described(approved(reviewed)) == [(1, "Liver", "AUTOMATIC")]
    assert reviewed.rows["Kidney"].decision == "removed"
    assert reviewed.rows["Kidney"].changed_voxels == (reviewed.labels == 2).sum()


def test_names_colours_and_codes_are_those_the_physician_gave(reviewed):
    liver = scene.segments(reviewed.node)["Liver"]
    liver.SetName("Leber \\ ganz")
    liver.SetColor(1.0, 0.5, 0.0)
    kidney = scene.segments(reviewed.node)["Kidney"]
    kidney.SetTag("TerminologyEntry", BONE)
    for segment in (liver, kidney):
        segment.SetTag("NativeDL.Review", "accepted")

    assert reviewed.approve() == 0

    first, second = approved(reviewed).SegmentSequence
    assert (first.SegmentLabel, first.SegmentAlgorithmType) == ("Leber / ganz", "AUTOMATIC")
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    lab = hd.color.CIELabColor.from_dicom_value(first.RecommendedDisplayCIELabValue)
    assert np.abs(np.array(lab.to_rgb()) - (255, 128, 0)).max() <= 1
    # What it is was a decision of the physician, though no voxel was touched.
    assert second.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert second.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Bone"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in second.SegmentedPropertyTypeCodeSequence[0]
    assert second.AnatomicRegionSequence[0].CodeMeaning == "Vertebral column"


@pytest.mark.parametrize(("entry", "meaning"), [(None, "Tissue"), (BONE, "Bone")])
def test_a_segment_that_the_physician_drew_is_manual(reviewed, entry, meaning):
    mask = np.zeros_like(reviewed.labels, bool)
    mask[1:4, 2:6, 2:9] = True
    scene.add_segment(reviewed.node, "Lesion", entry)
    scene.paint(reviewed.node, "Lesion", mask, reviewed.image)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    assert described(approved(reviewed))[2] == (3, "Lesion", "MANUAL")
    drawn = approved(reviewed).SegmentSequence[2]
    assert drawn.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == meaning
    assert "SegmentAlgorithmName" not in drawn
    assert np.array_equal(masks(reviewed)[..., 2], mask)
    assert reviewed.rows["Lesion"].automatic_number is None
    assert dciodvfy_errors(reviewed.folder / "approved" / "approved.dcm") == []


def overlapping(reviewed):
    mask = np.zeros_like(reviewed.labels, bool)
    mask[3:6, 9:13, 11:16] = True
    scene.add_segment(reviewed.node, "Lesion", BONE)
    scene.paint(reviewed.node, "Lesion", mask, reviewed.image, overwrite=False)
    reviewed.decide(Liver="accepted", Kidney="accepted")
    assert (mask & (reviewed.labels == 1)).any()
    return mask


def test_segments_may_overlap(reviewed):
    mask = overlapping(reviewed)

    assert reviewed.approve() == 0

    assert sitk.ReadImage(str(reviewed.edited)).GetNumberOfComponentsPerPixel() == 2
    assert approved(reviewed).SegmentsOverlap == "YES"
    found = masks(reviewed)
    assert np.array_equal(found[..., 0], reviewed.labels == 1)
    assert np.array_equal(found[..., 2], mask)
    assert np.array_equal(by_dcmqi(reviewed)[2], mask)
    assert dciodvfy_errors(reviewed.folder / "approved" / "approved.dcm") == []


def test_a_label_map_cannot_hold_segments_that_overlap(reviewed, capsys):
    count = (overlapping(reviewed) & (reviewed.labels == 1)).sum()

    assert reviewed.approve("--segmentation", "LABELMAP") == 2

    assert f"segments 'Liver' and 'Lesion' overlap in {count} voxels" in capsys.readouterr().err
    assert not (reviewed.folder / "approved").exists()


def test_a_label_map_holds_segments_that_do_not(reviewed):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--segmentation", "LABELMAP") == 0

    assert approved(reviewed).SegmentationType == "LABELMAP"
    assert np.array_equal(masks(reviewed)[..., 1], reviewed.labels == 2)


@pytest.mark.parametrize(("factor", "isotropic"), [(2.0, False), (3.0, False), (1.0, True), (2.0, True)])
def test_a_finer_grid_that_nobody_painted_on_is_still_the_automatic_result(reviewed, factor, isotropic):
    scene.change_geometry(reviewed.slicer, reviewed.node, reviewed.image, factor, isotropic)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    saved = sitk.ReadImage(str(reviewed.edited))
    assert not np.allclose(saved.GetSpacing(), reviewed.image.GetSpacing())
    assert [row.changed_voxels for row in reviewed.rows.values()] == [0, 0, 0]
    assert [kind for *_, kind in described(approved(reviewed))] == ["AUTOMATIC", "AUTOMATIC"]
    for number in (1, 2):
        assert np.array_equal(masks(reviewed)[..., number - 1], reviewed.labels == number)


def test_on_a_finer_grid_a_voxel_is_what_most_of_it_is(reviewed):
    image = reviewed.image
    scene.change_geometry(reviewed.slicer, reviewed.node, image, 4.0)
    finer = sitk.Expand(image, [4, 4, 4], sitk.sitkNearestNeighbor)
    mask = np.zeros(finer.GetSize()[::-1], bool)
    # Along x three quarters of voxel 4 and one quarter of voxel 8; whole voxels along y and z.
    mask[8:16, 16:32, 17:33] = True
    scene.paint(reviewed.node, "Liver", mask, finer)
    reviewed.decide(Liver="accepted", Kidney="rejected")

    assert reviewed.approve() == 0

    expected = np.zeros_like(reviewed.labels, bool)
    expected[2:4, 4:8, 4:8] = True
    assert np.array_equal(masks(reviewed)[..., 0], expected)


def test_voxels_outside_the_source_are_counted_and_left_out(reviewed, capsys):
    larger = sitk.ConstantPad(reviewed.image, (5, 5, 2), (5, 5, 2))
    mask = np.zeros(larger.GetSize()[::-1], bool)
    mask[0:4, 0:10, 3:12] = True
    scene.paint(reviewed.node, "Liver", mask, larger)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    inside = mask[2:-2, 5:-5, 5:-5]
    assert np.array_equal(masks(reviewed)[..., 0], inside)
    assert f"segment 'Liver': {mask.sum() - inside.sum()} voxels lie outside the source" in capsys.readouterr().err


def test_segments_that_nobody_decided_about_are_refused_by_name(reviewed, capsys):
    reviewed.decide(Liver="accepted")

    assert reviewed.approve() == 2

    assert "1 segment(s) are not reviewed: 'Kidney'; accept or reject them" in capsys.readouterr().err
    assert not (reviewed.folder / "approved").exists()


@pytest.mark.parametrize(("decided", "status"), [({"Liver": "accepted"}, "partly reviewed"), ({}, "not reviewed")])
def test_they_are_stored_where_the_user_says_so_and_the_seg_says_that(reviewed, decided, status):
    reviewed.decide(**decided)

    assert reviewed.approve("--unreviewed") == 0

    assert len(approved(reviewed).SegmentSequence) == 2
    assert approved(reviewed).SeriesDescription == f"Bright block ({status})"
    assert reviewed.rows["Kidney"].decision == "pending"


def test_where_everything_is_rejected_nothing_is_written(reviewed, capsys):
    reviewed.decide(Liver="rejected", Kidney="rejected")

    assert reviewed.approve("--events") == 0

    *_, warning, result = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert warning["message"] == "no segment is left to be approved: no SEG is written"
    assert (result["event"], result["outcome"], result["segmentation"]) == ("result", "rejected", None)
    assert not (reviewed.folder / "approved").exists()


def test_where_everything_is_deleted_nothing_is_written(reviewed, capsys):
    reviewed.node.GetSegmentation().RemoveAllSegments()

    assert reviewed.approve() == 0

    assert "bright 1.2.3: rejected" in capsys.readouterr().out
    assert not (reviewed.folder / "approved").exists()


def test_the_seg_says_who_reviewed_it_and_which_result_it_was(reviewed):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve(reviewer="Dr. Jörg Müller") == 0

    seg, automatic = approved(reviewed), pydicom.dcmread(reviewed.out / "segmentation.dcm")
    assert str(seg.ContentCreatorName) == "Müller^Jörg^^Dr."
    assert seg.SeriesDescription == seg.ContentDescription == "Bright block (reviewed)"
    assert seg.SeriesInstanceUID != automatic.SeriesInstanceUID
    assert seg.StudyInstanceUID == automatic.StudyInstanceUID
    (source,) = seg.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == automatic.SOPInstanceUID
    images, predecessor = seg.ReferencedSeriesSequence
    assert images.SeriesInstanceUID == automatic.ReferencedSeriesSequence[0].SeriesInstanceUID
    assert predecessor.SeriesInstanceUID == automatic.SeriesInstanceUID
    assert dciodvfy_errors(reviewed.folder / "approved" / "approved.dcm") == []
    assert reviewed.approved["reviewer"] == "Müller^Jörg^^Dr."


@pytest.mark.parametrize("name", ["Jane", "Yamada^Tarou=山田^太郎=やまだ^たろう", "van der Berg^Jan^Piet^Dr.^MD"])
def test_names_of_all_forms_are_stored_as_valid_dicom(reviewed, name):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve(reviewer=name) == 0

    assert str(approved(reviewed).ContentCreatorName) == name
    assert dciodvfy_errors(reviewed.folder / "approved" / "approved.dcm") == []


def test_a_copy_of_an_automatic_segment_is_compared_with_it_too(reviewed):
    mask = np.zeros_like(reviewed.labels, bool)
    mask[2:4, 9:12, 2:5] = True
    segment = scene.add_segment(reviewed.node, "Liver, left")
    for key, value in {"NativeDL.SegmentNumber": "1", "NativeDL.Review": "accepted"}.items():
        segment.SetTag(key, value)
    segment.SetTag("TerminologyEntry", scene.tag(scene.segments(reviewed.node)["Liver"], "TerminologyEntry"))
    scene.paint(reviewed.node, "Liver, left", mask, reviewed.image)
    reviewed.decide(Liver="rejected", Kidney="accepted")

    assert reviewed.approve() == 0

    # In the order of Slicer's list, where the copy comes last.
    assert described(approved(reviewed)) == [(1, "Kidney", "AUTOMATIC"), (2, "Liver, left", "SEMIAUTOMATIC")]
    assert reviewed.rows["Liver, left"].automatic_number == 1


def test_the_reviewer_is_in_no_line_that_may_be_logged(reviewed, capsys):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--events", reviewer="Doe^Jane") == 0

    output = capsys.readouterr()
    assert "Jane" not in output.out + output.err
    assert json.loads(output.out.splitlines()[-1])["outcome"] == "approved"


def test_the_automatic_result_is_never_touched(reviewed):
    before = {path: path.read_bytes() for path in sorted(reviewed.out.iterdir())}
    reviewed.decide(Liver="accepted", Kidney="rejected")

    assert reviewed.approve("--output", reviewed.out) == 0

    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in reviewed.out.iterdir()} - {path.name for path in before} == {
        "approved.dcm",
        "approved.json",
    }


def test_an_approved_result_is_not_replaced_unless_told_to(reviewed, capsys):
    reviewed.decide(Liver="accepted", Kidney="accepted")
    assert reviewed.approve() == 0
    first = approved(reviewed).SOPInstanceUID

    assert reviewed.approve() == 2
    assert "already holds approved.dcm, approved.json" in capsys.readouterr().err
    assert approved(reviewed).SOPInstanceUID == first
    assert reviewed.approve("--overwrite") == 0
    assert approved(reviewed).SOPInstanceUID != first


def test_the_series_may_be_in_a_list_of_files(reviewed):
    listing = reviewed.folder / "list.txt"
    listing.write_text("\n".join(str(path) for path in (reviewed.folder / "series").iterdir()))
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--files", listing) == 0


def test_the_series_may_be_in_slicers_database(reviewed):
    with closing(sqlite3.connect(reviewed.folder / "ctkDICOM.sql")) as connection, connection:
        connection.execute("CREATE TABLE Series (SeriesInstanceUID TEXT)")
        connection.execute("CREATE TABLE Images (SOPInstanceUID TEXT, Filename TEXT, SeriesInstanceUID TEXT)")
        for path in (reviewed.folder / "series").iterdir():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            row = header.SOPInstanceUID, f"series/{path.name}", header.SeriesInstanceUID
            connection.execute("INSERT INTO Images VALUES (?, ?, ?)", row)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--database", reviewed.folder / "ctkDICOM.sql", "--series", header.SeriesInstanceUID) == 0

    assert np.array_equal(masks(reviewed)[..., 0], reviewed.labels == 1)


def test_the_seg_reaches_the_pacs(reviewed, tmp_path_factory, capsys):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port}
        peers = reviewed.folder / "pacs.json"
        peers.write_text(json.dumps({"peers": [peer]}))
        reviewed.decide(Liver="accepted", Kidney="accepted")

        assert reviewed.approve("--to", "ORTHANC", "--pacs", peers) == 0

        assert orthanc.instances() == [approved(reviewed).SOPInstanceUID]
    assert reviewed.approved["sent"] == {"peer": "ORTHANC", "delivered": True}
    assert "sent to ORTHANC" in capsys.readouterr().out


def test_a_peer_that_is_down_leaves_the_seg_and_the_outbox(reviewed, capsys):
    peers = reviewed.folder / "pacs.json"
    peers.write_text(json.dumps({"peers": [{"name": "DOWN", "ae_title": "DOWN", "host": "127.0.0.1", "port": 9}]}))
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--to", "DOWN", "--pacs", peers) == 5

    assert "nativedl outbox send" in capsys.readouterr().err
    assert reviewed.approved["sent"]["delivered"] is False
    assert nativedl("outbox", "list", "--pacs", peers) == 0
    assert approved(reviewed).SOPInstanceUID in capsys.readouterr().out
