import factories
import highdicom as hd
import numpy as np
import pytest
from pydicom.uid import SegmentationStorage

from NativeDLLib import __version__
from NativeDLLib.dicom.seg import Algorithm, EmptySegmentationError, make_segmentation
from NativeDLLib.registry.load import make_model
from NativeDLLib.source import Series

ALGORITHM = Algorithm(
    name="bright",
    version="1.2.3",
    title="Bright block",
    source="NativeDL registry (onnx)",
    serial="0123456789abcdef",
    parameters={"step": "0.5", "path": "C:\\weights"},
)


def segments(tmp_path, *rows):
    entry = factories.entry()
    first = entry["output"]["segments"][0]
    entry["output"] = {"segments": [first | {"label": i + 1, "name": f"S{i + 1}"} | row for i, row in enumerate(rows)]}
    return make_model(entry, tmp_path / "registry.json").segments


def two(tmp_path):
    kidney = {"value": "64033007", "scheme": "SCT", "meaning": "Kidney"}
    return segments(tmp_path, {"name": "Liver"}, {"name": "Kidney", "type": kidney, "color": [212, 188, 102]})


def labels():
    result = np.zeros((6, 32, 40), np.uint8)
    result[2:5, 8:16, 10:22] = 1
    result[3:6, 20:25, 3:30] = 2
    return result


def series_in(folder, **arguments):
    factories.ct_series(folder / "series", **arguments)
    return Series.read([folder / "series"])


def written(folder, dataset):
    dataset.save_as(folder / "seg.dcm", enforce_file_format=True)
    return hd.seg.segread(folder / "seg.dcm")


def on_its_sources(seg, series):
    return seg.get_pixels_by_source_instance(
        [instance.text("SOPInstanceUID") for instance in series.instances],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )


@pytest.mark.parametrize(
    ("kind", "sop_class"), [("BINARY", SegmentationStorage), ("LABELMAP", "1.2.840.10008.5.1.4.1.1.66.7")]
)
@pytest.mark.parametrize("backwards", [False, True])
def test_the_mask_of_every_frame_lies_on_its_source(tmp_path, kind, sop_class, backwards):
    series = series_in(tmp_path, backwards=backwards, axes=factories.SAGITTAL)

    seg = written(tmp_path, make_segmentation(series, labels(), two(tmp_path), ALGORITHM, kind=kind))

    assert seg.SOPClassUID == sop_class
    assert seg.SegmentationType == kind
    assert np.array_equal(on_its_sources(seg, series), labels())


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_the_mask_of_every_frame_lies_on_its_frame_of_a_scrambled_source(tmp_path, kind):
    order = (3, 0, 5, 1, 4, 2)
    path = tmp_path / "enhanced"
    factories.enhanced_ct(path, factories.block(), spacing=(1, 1, 2), origin=(0, 0, 0), order=order)
    series = Series.read([path])

    seg = written(tmp_path, make_segmentation(series, labels(), two(tmp_path), ALGORITHM, kind=kind))

    found = seg.get_pixels_by_source_frame(
        series.text("SOPInstanceUID"), range(1, 7), combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(found, labels()[list(order)])


def test_every_source_instance_and_the_series_are_referred_to(tmp_path):
    series = series_in(tmp_path)

    seg = written(tmp_path, make_segmentation(series, labels(), two(tmp_path), ALGORITHM))

    (reference,) = seg.ReferencedSeriesSequence
    assert reference.SeriesInstanceUID == series.uid
    referenced = {item.ReferencedSOPInstanceUID for item in reference.ReferencedInstanceSequence}
    assert referenced == {instance.text("SOPInstanceUID") for instance in series.instances}
    assert len(seg.SourceImageSequence) == 6


def test_patient_study_and_frame_of_reference_are_carried_over_into_a_new_series(tmp_path):
    series = series_in(tmp_path)

    seg = written(tmp_path, make_segmentation(series, labels(), two(tmp_path), ALGORITHM))

    kept = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime")
    for keyword in (*kept, "StudyID", "AccessionNumber", "StudyDescription", "FrameOfReferenceUID"):
        assert seg[keyword].value == series.instances[0].dataset[keyword].value, keyword
    assert seg.SeriesInstanceUID != series.uid
    assert (seg.Modality, seg.SeriesNumber, seg.SeriesDescription) == ("SEG", 9003, "Bright block")
    assert (seg.ContentLabel, seg.ContentDescription) == ("SEGMENTATION", "Bright block")


def test_two_results_are_two_instances_of_two_series(tmp_path):
    series = series_in(tmp_path)
    first, second = (make_segmentation(series, labels(), two(tmp_path), ALGORITHM) for _ in range(2))

    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


@pytest.mark.parametrize(("number", "expected"), [(None, 9000), (-1, 9000), (7, 9007), (2**31 - 1, 9000)])
def test_the_series_number_is_away_from_those_of_scanners(tmp_path, number, expected):
    series = series_in(tmp_path, edit=lambda ds, i: setattr(ds, "SeriesNumber", number))

    assert make_segmentation(series, labels(), two(tmp_path), ALGORITHM).SeriesNumber == expected


def test_the_algorithm_says_what_it_is_and_how_it_was_set(tmp_path):
    seg = written(tmp_path, make_segmentation(series_in(tmp_path), labels(), two(tmp_path), ALGORITHM))

    for segment in seg.SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "bright"
        (identification,) = segment.SegmentationAlgorithmIdentificationSequence
        assert identification.AlgorithmName == "bright"
        assert identification.AlgorithmVersion == "1.2.3"
        assert identification.AlgorithmSource == "NativeDL registry (onnx)"
        assert identification.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
        assert identification.AlgorithmParameters == "step=0.5,path=C:/weights"


def test_the_equipment_that_contributed_is_named(tmp_path):
    seg = written(tmp_path, make_segmentation(series_in(tmp_path), labels(), two(tmp_path), ALGORITHM))

    (ours,) = [item for item in seg.ContributingEquipmentSequence if item.Manufacturer == "NativeDL"]
    assert ours.ManufacturerModelName == "bright"
    assert list(ours.SoftwareVersions) == ["1.2.3", f"NativeDL {__version__}"]
    assert ours.DeviceSerialNumber == "0123456789abcdef"
    assert ours.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Equipment"


def test_codes_colours_and_modifiers_are_those_of_the_registry(tmp_path):
    region = {"value": "421060004", "scheme": "SCT", "meaning": "Vertebral column"}
    right = {"value": "24028007", "scheme": "SCT", "meaning": "Right"}
    upper = {"value": "261183002", "scheme": "SCT", "meaning": "Upper"}
    rows = segments(
        tmp_path, {"type_modifier": right, "region": region, "region_modifier": upper, "color": [212, 188, 102]}
    )

    seg = written(tmp_path, make_segmentation(series_in(tmp_path), labels().clip(max=1), rows, ALGORITHM))

    (segment,) = seg.SegmentSequence
    kind, area = segment.SegmentedPropertyTypeCodeSequence[0], segment.AnatomicRegionSequence[0]
    assert segment.SegmentLabel == "S1"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("10200004", "SCT", "Liver")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert area.CodeMeaning == "Vertebral column"
    assert area.AnatomicRegionModifierSequence[0].CodeMeaning == "Upper"


@pytest.mark.parametrize(
    "color", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (40, 140, 40), (212, 188, 102)]
)
def test_colours_come_back_as_they_were(tmp_path, color):
    rows = segments(tmp_path, {"color": list(color)})

    seg = written(tmp_path, make_segmentation(series_in(tmp_path), labels().clip(max=1), rows, ALGORITHM))

    lab = hd.color.CIELabColor.from_dicom_value(seg.SegmentSequence[0].RecommendedDisplayCIELabValue)
    assert np.abs(np.array(lab.to_rgb()) - color).max() <= 1


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_segment_that_was_not_found_stays_described(tmp_path, kind):
    series, only_second = series_in(tmp_path), np.where(labels() == 2, labels(), 0)

    seg = written(tmp_path, make_segmentation(series, only_second, two(tmp_path), ALGORITHM, kind=kind))

    described = [s.SegmentLabel for s in seg.SegmentSequence if s.SegmentNumber > 0]
    assert described == ["Liver", "Kidney"]
    assert np.array_equal(on_its_sources(seg, series), only_second)


def test_nothing_found_is_for_the_caller_to_decide(tmp_path):
    series, nothing = series_in(tmp_path), np.zeros((6, 32, 40), np.uint8)

    with pytest.raises(EmptySegmentationError, match=f"series {series.uid}: bright found none of its 2 segments"):
        make_segmentation(series, nothing, two(tmp_path), ALGORITHM)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_nothing_found_can_be_stored(tmp_path, kind):
    series, nothing = series_in(tmp_path), np.zeros((6, 32, 40), np.uint8)

    seg = written(tmp_path, make_segmentation(series, nothing, two(tmp_path), ALGORITHM, kind=kind, allow_empty=True))

    assert [s.SegmentLabel for s in seg.SegmentSequence if s.SegmentNumber > 0] == ["Liver", "Kidney"]
    assert not on_its_sources(seg, series).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((6, 32, 41), np.uint8), "label map is (6, 32, 41), the series is (6, 32, 40)"),
        (np.full((6, 32, 40), 3, np.uint8), "label map holds values outside 0 to 2"),
        (np.full((6, 32, 40), -1, np.int16), "label map holds values outside 0 to 2"),
        (np.full((6, 32, 40), 0.5, np.float32), "label map holds float32, not whole numbers"),
    ],
)
def test_a_label_map_that_is_not_of_the_series_is_a_mistake(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        make_segmentation(series_in(tmp_path), wrong, two(tmp_path), ALGORITHM)


def test_many_segments_fit(tmp_path):
    many = segments(tmp_path, *({} for _ in range(255)))
    values = np.zeros((6, 32, 40), np.uint16)
    values[2, 3, 4], values[4, 5, 6] = 255, 128
    series = series_in(tmp_path)

    seg = written(tmp_path, make_segmentation(series, values, many, ALGORITHM, kind="LABELMAP"))

    assert np.array_equal(on_its_sources(seg, series), values)


def test_a_source_without_slice_thickness_gets_the_distance_of_its_slices(tmp_path):
    series = series_in(tmp_path, edit=lambda ds, i: delattr(ds, "SliceThickness"))

    seg = written(tmp_path, make_segmentation(series, labels(), two(tmp_path), ALGORITHM))

    (measures,) = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (2, 2)
    assert list(measures.PixelSpacing) == [1, 1]
