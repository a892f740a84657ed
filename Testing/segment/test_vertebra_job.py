"""A whole job of the vertebra model's entry, with a network that reads its classes from the intensities."""

import json

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from tools import dciodvfy_errors, nativedl

from NativeDLLib.core.places import resources_folder
from NativeDLLib.core.progress import Progress
from NativeDLLib.phantom.bones import LEVELS
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.registry import load_registry
from NativeDLLib.source import Series
from NativeDLLib.training.cases import Example
from NativeDLLib.training.entry import _measure
from NativeDLLib.training.labels import to_classes

pytestmark = pytest.mark.slow

CODES = {"T12": "23215003", "L1": "66794005", "L2": "14293000", "L3": "36470004", "L4": "11994002", "L5": "49668003"}


@pytest.fixture(scope="module")
def classes():
    _, labels = make_phantom(5, (110, 100, 90), (3.0, 3.0, 3.0), centre=(0.0, 10.0, 70.0), levels=True)
    made = to_classes(labels, dict.fromkeys(LEVELS, 1) | {3: 3, 5: 4}, {"target": "vertebrae", "canal": [19]})
    return sitk.GetArrayFromImage(made)


@pytest.fixture
def registry(tmp_path):
    """A registry of the vertebra model whose network finds class k at 250 k HU."""
    entry = json.loads((resources_folder() / "training" / "vertebra-ct-demo.json").read_text())["entry"]
    intensity = entry["input"]["intensity"]["normalization"]
    shift, scale = intensity["mean"] / 250, intensity["std"] / 250
    numbers = np.arange(5.0)
    folder = tmp_path / "registry"
    folder.mkdir()
    path = factories.pointwise_onnx(folder / "classes.onnx", 2 * numbers * scale, 2 * numbers * shift - numbers**2)
    weights = {"file": path.name, "sha256": factories.digest(path)}
    return factories.registry(folder, entry | {"runtime": "onnx", "weights": weights})


def run(tmp_path, registry, classes, *options):
    factories.ct_series(tmp_path / "series", classes.astype(np.int16) * 250, spacing=(3.0, 3.0, 3.0))
    out = tmp_path / "out"
    arguments = ["run", "--input", tmp_path / "series", "--model", "vertebra-ct-demo", "--output", out, *options]
    assert nativedl(*arguments, registry=registry) == 0
    return out, json.loads((out / "report.json").read_text())


def test_the_seg_has_each_vertebra_that_was_found_with_its_level_and_code(tmp_path, registry, classes):
    out, report = run(tmp_path, registry, classes)

    seg = pydicom.dcmread(out / "segmentation.dcm")
    names = [segment.SegmentLabel for segment in seg.SegmentSequence]
    assert set(names) >= {f"Vertebra {level}" for level in CODES}
    assert len(names) < 10
    assert [segment.SegmentNumber for segment in seg.SegmentSequence] == list(range(1, len(names) + 1))
    codes = {s.SegmentLabel[9:]: s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in seg.SegmentSequence}
    assert codes.items() >= CODES.items()
    assert dciodvfy_errors(out / "segmentation.dcm") == []
    assert [row["name"] for row in report["segments"]] == names
    assert all(row["voxels"] for row in report["segments"])
    assert report["levels"] == "sacrum"
    assert report["warnings"] == []


def test_all_files_of_the_result_agree(tmp_path, registry, classes):
    out, report = run(tmp_path, registry, classes, "--format", "seg,rtstruct")

    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))
    names = [row["name"] for row in report["segments"]]
    assert [int((labels == row["number"]).sum()) for row in report["segments"]] == [
        row["voxels"] for row in report["segments"]
    ]
    structures = pydicom.dcmread(out / "segmentation_rtstruct.dcm")
    assert [roi.ROIName for roi in structures.StructureSetROISequence] == names
    header = sitk.ReadImage(str(out / "segmentation.seg.nrrd"))
    assert [header.GetMetaData(f"Segment{i}_Name") for i in range(len(names))] == names
    assert not header.HasMetaDataKey(f"Segment{len(names)}_Name")


def test_vertebrae_of_unknown_level_are_numbered_from_the_top_and_it_is_said(tmp_path, registry, classes):
    (sacrum, ribs) = ((classes == number) for number in (3, 4))

    out, report = run(tmp_path, registry, np.where(sacrum | ribs, 0, classes))

    assert report["levels"] == "numbered"
    assert report["segments"][0]["name"] == "Vertebra 1 from the top"
    assert {row["type"]["value"] for row in report["segments"]} == {"51282000"}
    assert any(warning.startswith("levels unknown") for warning in report["warnings"])
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))
    heights = [np.mean(np.nonzero(labels == row["number"])[0]) for row in report["segments"]]
    assert heights == sorted(heights, reverse=True)


def test_where_there_is_no_vertebra_no_seg_is_written(tmp_path, registry):
    out, report = run(tmp_path, registry, np.zeros((20, 40, 40), np.uint8))

    assert report["outcome"] == "empty"
    assert not (out / "segmentation.dcm").exists()


def test_a_training_measures_all_vertebrae_together(tmp_path, registry, classes):
    paths = factories.ct_series(tmp_path / "series", classes.astype(np.int16) * 250, spacing=(3.0, 3.0, 3.0))
    series = Series.read(paths)
    (model,) = load_registry(registry)
    target = series.grid.image_of(classes)

    case = _measure(model, Example("phantom", series, target, target, {}), "cpu", Progress())

    (row,) = case["segments"]
    assert row["name"] == "Vertebrae (all levels)"
    assert row["dice"] > 0.99


@pytest.mark.parametrize("series", ["abdomen_ct_5mm_dicom", "upper_abdomen_ct_dicom"])
def test_on_a_real_ct_vertebrae_are_separate_or_it_is_said_which_are_not(tmp_path, real_data, series):
    arguments = ["run", "--input", real_data / series, "--model", "vertebra-ct-demo", "--output", tmp_path / "out"]
    assert nativedl(*arguments) == 0

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    doubtful = {finding["segment"] for finding in report["quality"] if finding["code"] == "not-told-apart"}
    seg = pydicom.dcmread(tmp_path / "out" / "segmentation.dcm", stop_before_pixels=True)
    codes = {row.SegmentLabel: row.SegmentedPropertyTypeCodeSequence[0].CodeValue for row in seg.SegmentSequence}
    assert doubtful
    for row in report["segments"]:
        assert row["volume_ml"] < 110
        assert row["name"] not in doubtful or codes[row["name"]] == "51282000"
