"""A result edited in Slicer's own scene, saved by Slicer's own writer, becomes the SEG of what was approved."""

import highdicom as hd
import numpy as np
import pytest
import scene
from tools import dciodvfy_errors

BONE = "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^272673000^Bone~^^~"
BONE += "Anatomic codes - DICOM master list~SCT^421060004^Vertebral column~^^"


@pytest.mark.parametrize("crop", [False, True])
def test_what_was_only_accepted_stays_automatic_voxel_for_voxel(reviewed, crop):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve(crop=crop) == 0

    assert reviewed.described == [(1, "Liver", "AUTOMATIC"), (2, "Kidney", "AUTOMATIC")]
    for number, mask in enumerate(reviewed.by_dcmqi(), 1):
        assert np.array_equal(reviewed.masks[..., number - 1], reviewed.labels == number)
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

    seg = reviewed.seg
    assert reviewed.described == [(1, "Liver", "SEMIAUTOMATIC"), (2, "Kidney", "AUTOMATIC")]
    assert seg.SegmentSequence[0].SegmentAlgorithmName == "bright"
    assert np.array_equal(reviewed.masks[..., 0], mask)
    liver, kidney = reviewed.by_dcmqi()
    assert np.array_equal(liver, mask)
    assert np.array_equal(kidney, reviewed.labels == 2)
    assert reviewed.rows["Liver"].changed_voxels == np.count_nonzero(mask != (reviewed.labels == 1))
    assert reviewed.rows["Liver"].volume_ml == pytest.approx(mask.sum() * 2.5 / 1000, abs=1e-3)
    assert dciodvfy_errors(reviewed.path) == []


def test_a_rejected_segment_is_left_out_and_the_others_are_counted_anew(reviewed):
    reviewed.decide(Liver="rejected", Kidney="accepted")

    assert reviewed.approve() == 0

    assert reviewed.described == [(1, "Kidney", "AUTOMATIC")]
    assert np.array_equal(reviewed.masks[..., 0], reviewed.labels == 2)
    assert reviewed.rows["Liver"].decision == "rejected"
    assert (reviewed.rows["Kidney"].number, reviewed.rows["Kidney"].automatic_number) == (1, 2)


def test_a_segment_that_was_deleted_is_reported_as_removed(reviewed):
    reviewed.node.GetSegmentation().RemoveSegment(scene.identifier(reviewed.node, "Kidney"))
    reviewed.decide(Liver="accepted")

    assert reviewed.approve() == 0

    assert reviewed.described == [(1, "Liver", "AUTOMATIC")]
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

    first, second = reviewed.seg.SegmentSequence
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

    assert reviewed.described[2] == (3, "Lesion", "MANUAL")
    drawn = reviewed.seg.SegmentSequence[2]
    assert drawn.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == meaning
    assert "SegmentAlgorithmName" not in drawn
    assert np.array_equal(reviewed.masks[..., 2], mask)
    assert reviewed.rows["Lesion"].automatic_number is None
    assert dciodvfy_errors(reviewed.path) == []


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
    assert reviewed.described == [(1, "Kidney", "AUTOMATIC"), (2, "Liver, left", "SEMIAUTOMATIC")]
    assert reviewed.rows["Liver, left"].automatic_number == 1
