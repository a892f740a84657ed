import json

import factories
import numpy as np
import pytest
import SimpleITK as sitk
from tools import nativedl

from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.postprocess.cleaning import away_from_skull, skull_extent
from NativeDLLib.postprocess.state import State
from NativeDLLib.source import Series
from NativeDLLib.training.negatives import make_negative

pytestmark = pytest.mark.slow

HEADS = [0, 4, 8, 12]
SIZE, SPACING = (80, 90, 90), (3.0, 3.0, 3.0)


def everything(image):
    return State(image, np.ones(image.GetSize()[::-1], np.uint16), ())


def stacked(below, above):
    """Return one image above the other, both in the middle."""
    image = sitk.GetImageFromArray(np.concatenate([sitk.GetArrayFromImage(part) for part in (below, above)]))
    image.SetSpacing(SPACING)
    image.SetOrigin((-100.0, -90.0, 500.0))
    return image


@pytest.mark.parametrize("seed", HEADS)
def test_a_head_holds_nothing(seed):
    head = make_negative(seed, SIZE, SPACING)

    state = everything(head)
    away_from_skull(state, distance_mm=250.0)

    assert not state.labels.any()
    (note,) = state.remarks
    assert note.startswith(f"a skull is in the images: {np.prod(SIZE) * 0.027:.1f} mL")


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 6, 7])
def test_limbs_and_test_objects_have_no_skull(seed):
    image = make_negative(seed, SIZE, SPACING)

    state = everything(image)
    away_from_skull(state, distance_mm=250.0)

    assert state.labels.all()
    assert state.remarks == []


@pytest.mark.parametrize("seed", range(4))
def test_a_torso_has_no_skull(seed):
    image, _ = make_phantom(seed, (122, 108, 128), SPACING, centre=(0, 10, 150))

    assert skull_extent(image) is None


def test_the_real_torso_and_abdomens_have_no_skull(real_data):
    assert skull_extent(sitk.ReadImage(str(real_data / "torso_ct_3mm" / "ct.nii.gz"))) is None
    for folder in ("upper_abdomen_ct_dicom", "liver_spine_ct_dicom"):
        image, _ = Series.read([real_data / folder]).image()
        assert skull_extent(image) is None


def test_in_a_whole_body_only_what_is_near_the_skull_goes():
    torso, _ = make_phantom(1, (90, 90, 100), SPACING, centre=(0, 10, 150))
    body = stacked(torso, make_negative(0, SIZE, SPACING))
    low, high = skull_extent(body)
    heights = body.GetOrigin()[2] + 3.0 * np.arange(body.GetDepth())

    state = everything(body)
    away_from_skull(state, distance_mm=60.0)

    left = state.labels
    assert left.any(axis=(1, 2)).tolist() == [not low - 60 <= height <= high + 60 for height in heights]
    assert left[:80].all()
    assert not left[120:150].any()


@pytest.fixture(scope="module")
def body_and_labels():
    torso, _ = make_phantom(1, (90, 90, 60), SPACING, centre=(0, 10, 150))
    body = stacked(torso, make_negative(4, SIZE, SPACING))
    state = everything(body)
    away_from_skull(state, distance_mm=60.0)
    return body, state.labels


@pytest.mark.parametrize("orientation", ["RAS", "PSR", "AIL"])
def test_it_does_not_matter_how_the_image_is_stored(body_and_labels, orientation):
    body, expected = body_and_labels

    turned = everything(sitk.DICOMOrient(body, orientation))
    away_from_skull(turned, distance_mm=60.0)

    there = sitk.DICOMOrient(turned.label_map(), "LPS")
    assert np.array_equal(sitk.GetArrayFromImage(there), expected)


def test_a_single_slice_of_a_head_is_one_of_a_head():
    head = make_negative(0, SIZE, SPACING)
    low, high = skull_extent(head)
    middle = round(((low + high) / 2 - head.GetOrigin()[2]) / 3)

    assert skull_extent(head[:, :, middle : middle + 1]) is not None


def test_where_nothing_was_found_nothing_is_looked_at():
    state = State(None, np.zeros((2, 2, 2), np.uint16), ())

    away_from_skull(state, distance_mm=60.0)

    assert state.remarks == []


def test_the_report_tells_what_was_left_out(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    weights = factories.threshold_onnx(tmp_path / "bright.onnx", 0.5)
    step = {"step": "away_from_skull", "distance_mm": 100}
    entry = factories.patient_entry(weights, postprocessing=[step])
    registry = factories.registry(tmp_path, entry)
    sitk.WriteImage(make_negative(0, SIZE, SPACING), str(tmp_path / "head.nrrd"))
    arguments = ("--image", tmp_path / "head.nrrd", "--model", "bright", "--device", "cpu")
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))

    assert nativedl("run", *arguments, "--output", tmp_path / "out") == 0

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {segment["volume_ml"] for segment in report["segments"]} == {0}
    assert any("a skull is in the images" in warning for warning in report["warnings"])
