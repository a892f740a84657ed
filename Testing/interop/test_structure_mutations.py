"""Damaged RT Structure Sets through ``read-rtstruct``: what they say is in its place, or one line names the file."""

import random

import mutations
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from drawing import ALGORITHM, KIDNEY, LIVER, OBLIQUE, shapes
from factories import ct_series
from pydicom.dataset import Dataset
from tools import nativedl
from trials import trials

from NativeDLLib.core.progress import Progress
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.source import Series


@pytest.fixture(scope="module")
def server():
    with trials() as server:
        yield server


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A series, a structure set of it with holes, islands and parts that touch, and what is read of it."""
    folder = tmp_path_factory.mktemp("original")
    ct_series(folder / "series", shapes().astype(np.int16), spacing=(0.8, 1.1, 2.0), axes=OBLIQUE)
    series = Series.read([folder / "series"])
    dataset = whole_structure_set(series, shapes(), [LIVER, KIDNEY], ALGORITHM, Progress())
    dataset.save_as(folder / "rtstruct.dcm", enforce_file_format=True)
    output = folder / "right.seg.nrrd"
    assert nativedl("read-rtstruct", folder / "rtstruct.dcm", "--input", folder / "series", "--output", output) == 0
    assert np.count_nonzero(sitk.GetArrayFromImage(sitk.ReadImage(str(output)))) == np.count_nonzero(shapes())
    return folder


@pytest.fixture
def outcome(server, original, tmp_path):
    """Read the damaged structure set and judge what comes of it; return the exit code."""
    file, output = tmp_path / "damaged.dcm", tmp_path / "read.seg.nrrd"
    file.write_bytes((original / "rtstruct.dcm").read_bytes())

    def run():
        words = ["read-rtstruct", file, "--input", original / "series", "--output", output]
        trial = server.run(tmp_path, output, words)
        assert "Traceback" not in trial.told
        assert trial.strays == []
        if trial.code:
            assert trial.code == 3, trial.reader.error
            assert "\n" not in trial.reader.error
            assert "this is a defect" not in trial.reader.error
            assert str(file) in trial.reader.error or "holds no image series" in trial.reader.error
            assert not output.exists()
        elif contours(file) == contours(original / "rtstruct.dcm"):
            ours, theirs = (sitk.ReadImage(str(path)) for path in (output, original / "right.seg.nrrd"))
            assert (ours.GetOrigin(), ours.GetDirection()) == (theirs.GetOrigin(), theirs.GetDirection())
            assert np.array_equal(sitk.GetArrayViewFromImage(ours), sitk.GetArrayViewFromImage(theirs))
        return trial.code

    return run, file


def contours(path):
    """Return the numbers of the regions and their lines as they are stored, None where pydicom cannot tell."""
    try:
        data = pydicom.dcmread(path)
        regions = [(roi.ReferencedROINumber, list(roi.ContourSequence)) for roi in data.ROIContourSequence]
        lines = [(n, c.ContourGeometricType, [float(v) for v in c.ContourData]) for n, cs in regions for c in cs]
        return [int(roi.ROINumber) for roi in data.StructureSetROISequence], lines
    except Exception:  # whatever a damaged file makes pydicom raise
        return None


@mutations.seeds(110)
def test_flipped_bytes(outcome, seed):
    run, file = outcome
    file.write_bytes(mutations.flip_bytes(file.read_bytes(), random.Random(seed)))

    run()


@mutations.seeds(20)
def test_a_truncated_file(outcome, seed):
    run, file = outcome
    file.write_bytes(mutations.truncate(file.read_bytes(), random.Random(seed)))

    run()


@mutations.seeds(15)
@pytest.mark.parametrize("change", [mutations.drop_bytes, mutations.repeat_bytes], ids=["lost", "repeated"])
def test_lost_and_repeated_bytes(outcome, change, seed):
    run, file = outcome
    file.write_bytes(change(file.read_bytes(), random.Random(seed)))

    run()


def contour(dataset):
    return dataset.ROIContourSequence[0].ContourSequence[0]


def at(place, edit):
    return lambda dataset: edit(place(dataset))


EDITS = {
    "no regions": mutations.setting("StructureSetROISequence", []),
    "regions removed": mutations.removing("StructureSetROISequence"),
    "contours removed": mutations.removing("ROIContourSequence"),
    "contours as text": mutations.setting("ROIContourSequence", "contours", "LO"),
    "regions as bytes": mutations.setting("StructureSetROISequence", b"1234", "OB"),
    "observations of nothing": mutations.setting("RTROIObservationsSequence", [Dataset()]),
    "frame of another": mutations.setting("FrameOfReferenceUID", "1.2.3"),
    "study of another": mutations.setting("StudyInstanceUID", "1.2.3"),
    "patient of another": mutations.setting("PatientID", "other"),
    "class of a plan": mutations.setting("SOPClassUID", "1.2.840.10008.5.1.4.1.1.481.5"),
    "class removed": mutations.removing("SOPClassUID"),
    "referenced series removed": mutations.removing("ReferencedFrameOfReferenceSequence"),
    "character set unknown": mutations.setting("SpecificCharacterSet", "KLINGON"),
    "nested 150 deep": mutations.nesting(150),
    "points": at(contour, mutations.setting("ContourGeometricType", "POINT")),
    "open": at(contour, mutations.setting("ContourGeometricType", "OPEN_PLANAR")),
    "no type": at(contour, mutations.setting("ContourGeometricType", "")),
    "type of a number": at(contour, mutations.setting("ContourGeometricType", 7, "US")),
    "no coordinates": at(contour, mutations.setting("ContourData", [])),
    "coordinates removed": at(contour, mutations.removing("ContourData")),
    "two coordinates": at(contour, mutations.setting("ContourData", ["1", "2"])),
    "coordinates as text": at(contour, mutations.setting("ContourData", ["here"] * 9, "LO")),
    "coordinates nan": at(contour, mutations.setting("ContourData", ["nan"] * 9, "LO")),
    "coordinates at infinity": at(contour, mutations.setting("ContourData", ["1e999"] * 9, "LO")),
    "coordinates far": at(contour, mutations.setting("ContourData", ["1e30", "0", "0"] * 3)),
    "coordinates off the slices": at(contour, mutations.setting("ContourData", ["0.5", "0.5", "0.5"] * 3)),
    "a line of a million": at(contour, mutations.setting("ContourData", ["1", "2", "3"] * 333_000)),
    "points counted wrong": at(contour, mutations.setting("NumberOfContourPoints", "3")),
    "points counted by none": at(contour, mutations.removing("NumberOfContourPoints")),
    "region of no number": lambda d: mutations.setting("ReferencedROINumber", 99)(d.ROIContourSequence[0]),
    "region of text": lambda d: mutations.setting("ROINumber", "x", "LO")(d.StructureSetROISequence[0]),
    "regions of one number": lambda d: mutations.setting("ROINumber", "1")(d.StructureSetROISequence[1]),
    "region without a name": lambda d: mutations.removing("ROIName")(d.StructureSetROISequence[0]),
    "an endless name": lambda d: mutations.setting("ROIName", "x" * 10_000)(d.StructureSetROISequence[0]),
    "a name of a path": lambda d: mutations.setting("ROIName", "../../x\\n\0")(d.StructureSetROISequence[0]),
    "colour of text": lambda d: mutations.setting("ROIDisplayColor", ["red"], "LO")(d.ROIContourSequence[0]),
    "colour beyond": lambda d: mutations.setting("ROIDisplayColor", ["999", "-1", "0"])(d.ROIContourSequence[0]),
    "image of none": lambda d: mutations.setting("ContourImageSequence", [])(contour(d)),
    "image of an image": lambda d: mutations.setting("ContourImageSequence", [Dataset()])(contour(d)),
    "contours of contours": lambda d: mutations.setting("ContourSequence", [Dataset()])(d.ROIContourSequence[0]),
    "five thousand regions": lambda d: d.StructureSetROISequence.extend([Dataset()] * 5000),
}


@pytest.mark.parametrize("name", mutations.these(EDITS, ["coordinates nan", "coordinates off the slices"]))
def test_an_attribute_that_says_something_else(outcome, name):
    run, file = outcome
    dataset = pydicom.dcmread(file)
    EDITS[name](dataset)
    dataset.save_as(file, enforce_file_format=False)

    run()
