"""Structure sets of other systems, and what only looks like one."""

import numpy as np
import pydicom
import pytest
from drawing import ALGORITHM, KIDNEY, LIVER
from pydicom.uid import CTImageStorage

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.rtstruct_reader import read_structure_set
from NativeDLLib.regions.read_rtstruct import mask_of, structures_to_slicer
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.source.where import Where


@pytest.fixture
def path(axial, tmp_path):
    dataset = whole_structure_set(axial.series, axial.labels, [LIVER, KIDNEY], ALGORITHM, Progress())
    dataset.save_as(tmp_path / "rtstruct.dcm", enforce_file_format=True)
    return tmp_path / "rtstruct.dcm"


def edited(path, change):
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def test_holes_that_are_contours_of_their_own_are_holes(axial, path):
    def draw(dataset):
        plane = axial.series.instances[2].dataset.ImagePositionPatient
        (x, y, z), contours = (float(v) for v in plane), []
        for first, last in ((1.5, 30.5), (4.5, 10.5), (12.5, 20.5), (14.5, 16.5)):
            corners = [(first, first), (last, first), (last, last), (first, last)]
            item = pydicom.Dataset()
            item.ContourGeometricType = "CLOSED_PLANAR_XOR"
            item.NumberOfContourPoints = 4
            item.ContourData = [f"{v:.4f}" for c, r in corners for v in (x + 0.8 * c, y + 1.1 * r, z)]
            contours.append(item)
        dataset.ROIContourSequence[0].ContourSequence = contours

    roi, _ = read_structure_set(edited(path, draw)).rois

    mask, elsewhere = mask_of(axial.series, roi.contours)
    expected = np.zeros((48, 60), bool)
    for first, last in ((2, 31), (5, 11), (13, 21), (15, 17)):
        expected[first:last, first:last] ^= True
    assert elsewhere == 0
    assert (mask[2] == expected).all()
    assert not mask[[0, 1, 3, 4, 5]].any()


def test_a_structure_set_without_codes_and_colours_is_read(path):
    def strip(dataset):
        del dataset.RTROIObservationsSequence
        del dataset.ApprovalStatus
        del dataset.ROIContourSequence[0].ROIDisplayColor

    liver, kidney = read_structure_set(edited(path, strip)).rois

    assert (liver.segment.name, liver.segment.color, liver.segment.type.meaning) == ("Liver", (128, 128, 128), "Tissue")
    assert kidney.segment.color == KIDNEY.color


def test_what_is_no_closed_line_is_counted(path):
    def open_one(dataset):
        dataset.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "OPEN_PLANAR"

    before = read_structure_set(path).rois[0]
    after = read_structure_set(edited(path, open_one)).rois[0]

    assert (before.ignored, after.ignored) == (0, 1)
    assert len(after.contours) == len(before.contours) - 1


def test_a_region_without_contours_is_read_as_empty(path):
    roi, _ = read_structure_set(edited(path, lambda dataset: dataset.ROIContourSequence.pop(0))).rois

    assert roi.contours == ()


def bad_points(dataset):
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2"]


def far_points(dataset):
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1e9"] * 9


def no_points(dataset):
    del dataset.ROIContourSequence[0].ContourSequence[0].ContourData


def no_number(dataset):
    del dataset.StructureSetROISequence[0].ROINumber


def color_in_words(dataset):
    dataset.ROIContourSequence[0].add_new("ROIDisplayColor", "LO", ["red", "green", "blue"])


@pytest.mark.parametrize(
    ("change", "told"),
    [(far_points, r" \(a contour of '.+' is not a closed line of points in a patient\)"), (color_in_words, "")],
)
def test_a_damaged_structure_set_is_refused_in_words_of_our_own(path, change, told):
    with pytest.raises(InputError, match=rf"rtstruct\.dcm: is a damaged RT Structure Set{told}; export it again$"):
        read_structure_set(edited(path, change))


def lone_point(dataset):
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2", "3"]


def two_points(dataset):
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2", "3", "4", "5", "6"]


def empty_points(dataset):
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = None


@pytest.mark.parametrize("change", [bad_points, lone_point, two_points, empty_points, no_points])
def test_a_contour_without_area_is_left_out_and_counted(path, change):
    before, after = read_structure_set(path).rois[0], read_structure_set(edited(path, change)).rois[0]

    assert (len(after.contours), after.ignored) == (len(before.contours) - 1, 1)


def no_contour_number(dataset):
    del dataset.ROIContourSequence[0].ReferencedROINumber


@pytest.mark.parametrize(("change", "left"), [(no_number, 1), (no_contour_number, 2)])
def test_an_item_without_number_is_left_out_and_counted(path, change, left):
    given = read_structure_set(edited(path, change))

    assert (given.unnumbered, len(given.rois)) == (1, left)


def one_number(dataset):
    dataset.StructureSetROISequence[1].ROINumber = dataset.StructureSetROISequence[0].ROINumber


def contours_of_one_number(dataset):
    first, second = dataset.ROIContourSequence
    second.ReferencedROINumber = first.ReferencedROINumber


@pytest.mark.parametrize(("change", "left"), [(one_number, []), (contours_of_one_number, ["Right kidney"])])
def test_contours_get_no_name_of_another_region_of_their_number(path, change, left):
    given = read_structure_set(edited(path, change))

    assert [roi.segment.name for roi in given.rois] == left
    assert not any(roi.contours for roi in given.rois)


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"])
def test_exclusive_contours_are_read_by_either_name(path, kind):
    def renamed(dataset):
        for line in dataset.ROIContourSequence[0].ContourSequence:
            line.ContourGeometricType = kind

    before, after = read_structure_set(path).rois[0], read_structure_set(edited(path, renamed)).rois[0]

    assert (len(after.contours), after.ignored) == (len(before.contours), 0)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rtutils_lone_pixel", "have no area"),
        ("emptydata", "have no area"),
        ("nodata", "have no area"),
        ("nonum", "have no ROI number"),
        ("xor_standard", None),
        ("norefseq", None),
    ],
)
def test_structure_sets_from_the_field_are_read(real_data, tmp_path, name, told):
    folder, progress = real_data / "field_cases" / "dicom" / "rt", Progress()

    report = structures_to_slicer(folder / f"{name}.dcm", Where((folder / "ct",)), tmp_path / "out.seg.nrrd", progress)

    assert (tmp_path / "out.seg.nrrd").is_file()
    assert name == "nonum" or max(row["voxels"] for row in report.segments) > 0
    assert [told in warning for warning in report.warnings] == ([True] if told else [])


def test_what_is_none_is_refused(path, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"no DICOM")
    edited(path, lambda dataset: setattr(dataset, "SOPClassUID", CTImageStorage))

    for file in (path, other):
        with pytest.raises(InputError, match="is not an RT Structure Set"):
            read_structure_set(file)
    with pytest.raises(InputError, match="does not exist"):
        read_structure_set(tmp_path / "none")


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_file_that_breaks_off_is_refused(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])

    with pytest.raises(InputError, match=r"rtstruct\.dcm: is"):
        read_structure_set(path)
