"""The RT Structure Set of regions: what it says, and that validators and other programs read it."""

from dataclasses import replace

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from drawing import ALGORITHM, KIDNEY, LIVER, by_plastimatch, dice, shapes
from tools import dciodvfy_errors

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Review
from NativeDLLib.dicom.rtstruct import make_structure_set
from NativeDLLib.dicom.rtstruct_reader import read_structure_set
from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.regions.propose import propose
from NativeDLLib.regions.read_rtstruct import in_layers, mask_of
from NativeDLLib.regions.structure import rois_of, whole_structure_set
from NativeDLLib.registry.entry import Code
from NativeDLLib.source import Series

BOTH = [LIVER, KIDNEY]


def written(dataset, folder):
    """Write a structure set, check it with dicom3tools, and return its path."""
    path = folder / "rtstruct.dcm"
    dataset.save_as(path, enforce_file_format=True)
    assert dciodvfy_errors(path) == []
    return path


@pytest.fixture
def approved(axial, tmp_path):
    review = Review("Doe^Jane")
    dataset = whole_structure_set(axial.series, axial.labels, BOTH, ALGORITHM, Progress(), review=review)
    return pydicom.dcmread(written(dataset, tmp_path))


def test_a_foreign_program_reads_the_very_masks_on_any_series(drawn, tmp_path):
    dataset = whole_structure_set(drawn.series, drawn.labels, BOTH, ALGORITHM, Progress())

    masks = by_plastimatch(written(dataset, tmp_path), drawn.folder, tmp_path / "masks")

    assert dice(masks["Liver"], drawn.mask(LIVER)) >= 0.999
    assert dice(masks["Right kidney"], drawn.mask(KIDNEY)) >= 0.999


def test_the_organs_of_the_phantom_are_the_same_in_a_foreign_program_and_read_back(tmp_path):
    image, labels = make_phantom(3, (160, 160, 24), (2.4, 2.4, 10.0))
    who = {"patient_name": "Phantom", "patient_id": "1", "study_description": "s", "series_description": "s"}
    write_ct_series(image, tmp_path / "series", **who)
    series = Series.read([tmp_path / "series"])
    voxels = (sitk.GetArrayFromImage(labels) == 1).astype(np.uint8)

    path = written(whole_structure_set(series, voxels, [LIVER], ALGORITHM, Progress()), tmp_path)

    (roi,) = read_structure_set(path).rois
    assert dice(mask_of(series, roi.contours)[0], voxels == 1) == 1.0
    assert dice(by_plastimatch(path, tmp_path / "series", tmp_path / "masks")["Liver"], voxels == 1) >= 0.999


def test_patient_and_study_are_those_of_the_source(axial, approved):
    source = axial.series.instances[0].dataset
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "AccessionNumber",
    ):
        assert approved[keyword].value == source[keyword].value
    assert approved.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert approved.SeriesInstanceUID != source.SeriesInstanceUID
    assert approved.Modality == "RTSTRUCT"
    assert approved.Manufacturer == "NativeDL"


def test_every_image_with_a_contour_is_referred_to_and_no_other(axial, approved):
    (frame,) = approved.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    named = [item.ReferencedSOPInstanceUID for item in series.ContourImageSequence]

    assert frame.FrameOfReferenceUID == axial.series.text("FrameOfReferenceUID")
    assert study.ReferencedSOPInstanceUID == axial.series.text("StudyInstanceUID")
    assert series.SeriesInstanceUID == axial.series.uid
    # Nothing is on the first slice.
    assert named == [instance.text("SOPInstanceUID") for instance in axial.series.instances[1:]]
    for roi in approved.ROIContourSequence:
        for contour in roi.ContourSequence:
            (image,) = contour.ContourImageSequence
            assert image.ReferencedSOPInstanceUID in named
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
            assert len(contour.ContourData) == 3 * contour.NumberOfContourPoints


def test_each_region_of_interest_says_what_it_is_and_how_it_came_about(axial, tmp_path):
    kinds = ("AUTOMATIC", "MANUAL")
    review = Review("Doe^Jane", algorithm_types=kinds)
    dataset = whole_structure_set(axial.series, axial.labels, BOTH, ALGORITHM, Progress(), review=review)

    liver, kidney = dataset.StructureSetROISequence
    assert (liver.ROINumber, liver.ROIName, liver.ROIGenerationAlgorithm) == (1, "Liver", "AUTOMATIC")
    assert liver.ROIGenerationDescription == "bright 1.2.3"
    assert (kidney.ROINumber, kidney.ROIName, kidney.ROIGenerationAlgorithm) == (2, "Right kidney", "MANUAL")
    assert [list(roi.ROIDisplayColor) for roi in dataset.ROIContourSequence] == [[40, 140, 40], [185, 102, 83]]
    observed = dataset.RTROIObservationsSequence[1]
    assert (observed.ROIObservationLabel, observed.RTROIInterpretedType) == ("Right kidney", "ORGAN")
    assert observed.RTROIIdentificationCodeSequence[0].CodeValue == "64033007"
    assert observed.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    (side,) = observed.RTROIIdentificationCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert side.CodeMeaning == "Right"


def test_what_is_no_structure_of_the_body_is_not_called_an_organ(axial, tmp_path):
    lesion = Code("49755003", "SCT", "Morphologically Altered Structure")
    tumour = replace(
        KIDNEY, category=lesion, type=Code("108369006", "SCT", "Neoplasm"), type_modifier=None,
        region=Code("10200004", "SCT", "Liver"), region_modifier=Code("24028007", "SCT", "Right"),
    )  # fmt: skip
    dataset = whole_structure_set(axial.series, axial.labels, [LIVER, tumour], ALGORITHM, Progress())

    path = written(dataset, tmp_path)

    organ, other = pydicom.dcmread(path).RTROIObservationsSequence
    assert (organ.RTROIInterpretedType, other.RTROIInterpretedType) == ("ORGAN", "")
    assert replace(read_structure_set(path).rois[1].segment, label=2) == tumour


def test_an_approval_says_by_whom_and_when(approved):
    assert (approved.ApprovalStatus, str(approved.ReviewerName)) == ("APPROVED", "Doe^Jane")
    assert len(approved.ReviewDate) == 8
    assert len(approved.ReviewTime) >= 6


@pytest.mark.parametrize("review", [None, Review("Doe^Jane", "partly reviewed")])
def test_what_is_not_approved_names_no_reviewer(axial, tmp_path, review):
    dataset = whole_structure_set(axial.series, axial.labels, BOTH, ALGORITHM, Progress(), review=review)

    found = pydicom.dcmread(written(dataset, tmp_path))

    assert found.ApprovalStatus == "UNAPPROVED"
    assert not {"ReviewDate", "ReviewTime", "ReviewerName"} & set(found.dir())


def test_a_reviewer_of_any_script_is_stored(axial, tmp_path):
    review = Review("Müller^Jörg=山田^太郎")

    dataset = whole_structure_set(axial.series, axial.labels, BOTH, ALGORITHM, Progress(), review=review)

    found = pydicom.dcmread(written(dataset, tmp_path))
    assert str(found.ReviewerName) == "Müller^Jörg=山田^太郎"
    assert found.SpecificCharacterSet == "ISO_IR 192"


def test_coordinates_are_decimal_strings_that_keep_a_tenth_of_a_micrometre(tmp_path):
    def far_away(dataset, _):
        x, y, z = (float(v) for v in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [f"{x - 12345.67891:.5f}", f"{y:.5f}", f"{z + 4321.98765:.5f}"]

    files = tmp_path / "series"
    factories.ct_series(files, np.zeros((6, 48, 60), int), spacing=(0.8, 1.1, 2.5), edit=far_away)
    series = Series.read([files])
    regions = propose(series, shapes(), BOTH)

    path = written(make_structure_set(series, rois_of(regions, {}), ALGORITHM), tmp_path)

    stored = [points for roi in read_structure_set(path).rois for points in roi.contours]
    for region, points in zip(regions, stored, strict=True):
        np.testing.assert_allclose(points, region.points, atol=1e-9)
    texts = [str(v) for c in pydicom.dcmread(path).ROIContourSequence[0].ContourSequence for v in c.ContourData]
    assert max(map(len, texts)) <= 16


def test_a_contour_longer_than_explicit_vr_has_room_for_is_written_and_read(tmp_path):
    ragged = (np.random.default_rng(0).random((2, 120, 130)) < 0.7).astype(np.uint8)
    files = tmp_path / "series"
    factories.ct_series(files, np.zeros(ragged.shape, int), axes=((0.6, 0.8, 0), (-0.8, 0.6, 0)))
    series = Series.read([files])

    path = written(whole_structure_set(series, ragged, [LIVER], ALGORITHM, Progress()), tmp_path)

    found = pydicom.dcmread(path)
    assert max(len("\\".join(map(str, c.ContourData))) for c in found.ROIContourSequence[0].ContourSequence) > 65534
    mask, _ = mask_of(series, read_structure_set(path).rois[0].contours)
    assert (mask == (ragged == 1)).all()


def test_the_frames_of_a_multi_frame_image_are_referred_to(tmp_path):
    labels = shapes()
    grid = {"spacing": (0.8, 1.1, 2.5), "origin": (1, 2, 3), "order": [5, 0, 3, 1, 4, 2]}
    series = Series.read([factories.enhanced_ct(tmp_path / "ct", np.zeros(labels.shape, int), **grid)])

    dataset = whole_structure_set(series, labels, BOTH, ALGORITHM, Progress())

    path = written(dataset, tmp_path)
    (frame,) = pydicom.dcmread(path).ReferencedFrameOfReferenceSequence
    images = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    assert [item.ReferencedFrameNumber for item in images] == [4, 6, 3, 5, 1]
    for roi, segment in zip(read_structure_set(path).rois, BOTH, strict=True):
        assert (mask_of(series, roi.contours)[0] == (labels == segment.number)).all()


def test_nothing_to_store_is_refused(axial):
    with pytest.raises(ValueError, match="regions of interest"):
        make_structure_set(axial.series, [], ALGORITHM)


def test_a_damaged_sequence_of_the_source_is_left_out(axial, tmp_path):
    damaged = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag("ProcedureCodeSequence"), "SQ", 4, b"\xff\xfe\x00\x01", 0, False, True
    )
    axial.series.instances[0].dataset["ProcedureCodeSequence"] = damaged

    path = written(whole_structure_set(axial.series, axial.labels, BOTH, ALGORITHM, Progress()), tmp_path)

    assert "ProcedureCodeSequence" not in pydicom.dcmread(path)


def test_masks_share_a_layer_unless_they_overlap():
    one, two, three = np.zeros((3, 1, 1, 4), bool)
    one[..., :2], two[..., 1:3], three[..., 3] = True, True, True

    labels, layers = in_layers([one, two, three], (1, 1, 4), 3)

    assert layers == [0, 1, 0]
    assert labels[0, 0].tolist() == [[1, 0], [1, 2], [0, 2], [3, 0]]
