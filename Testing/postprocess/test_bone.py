import json

import factories
import numpy as np
import pytest
import SimpleITK as sitk
from tools import nativedl

from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.postprocess.cleaning import needs_bone
from NativeDLLib.postprocess.state import State
from NativeDLLib.source import Series
from NativeDLLib.training.negatives import make_negative

LEAST = 0.3


def left_of(image, least_percent, value=1):
    """What the step leaves of a result that is everywhere the same, and its remarks."""
    state = State(image, np.full(image.GetSize()[::-1], value, np.uint16), ())
    needs_bone(state, least_percent=least_percent)
    return state.labels, state.remarks


def cylinder(inside):
    values = np.random.default_rng(0).normal(-1000, 15, (30, 90, 90))
    y, x = np.indices((90, 90)) - 45
    values[:, np.hypot(y, x) < 35] += 1000 + inside
    image = sitk.GetImageFromArray(values.astype(np.int16))
    image.SetSpacing((3.0, 3.0, 3.0))
    return image


@pytest.mark.parametrize("inside", [-1000, 0, 60, 150])
def test_in_a_phantom_of_one_material_nothing_is_kept(inside):
    image = cylinder(inside)

    left, (note,) = left_of(image, LEAST)

    assert not left.any()
    assert note.startswith("hardly any bone is in the images (0.0 % of the body)")


def test_patients_have_bone_in_every_slice_of_the_abdomen(real_data):
    for folder in ("upper_abdomen_ct_dicom", "liver_spine_ct_dicom"):
        image, _ = Series.read([real_data / folder]).image()
        for index in range(image.GetDepth()):
            part = image[:, :, index : index + 1]
            assert left_of(part, 3 * LEAST)[1] == []
    torso = sitk.ReadImage(str(real_data / "torso_ct_3mm" / "ct.nii.gz"))
    assert left_of(torso, 3 * LEAST)[1] == []


@pytest.mark.parametrize("seed", range(3))
def test_drawn_torsos_and_heads_have_bone(seed):
    torso, _ = make_phantom(seed, (122, 108, 64), (3.0, 3.0, 3.0), centre=(0, 10, 150))
    for image in (torso, make_negative(4 * seed, (60, 90, 90), (3.0, 3.0, 3.0))):
        left, notes = left_of(image, 3 * LEAST)
        assert left.all()
        assert notes == []


def test_where_nothing_was_found_nothing_is_said():
    assert left_of(cylinder(0), LEAST, value=0)[1] == []


def test_the_report_tells_what_was_left_out(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    weights = factories.threshold_onnx(tmp_path / "bright.onnx", 0.0)
    step = {"step": "needs_bone", "least_percent": LEAST}
    entry = factories.patient_entry(weights, postprocessing=[step])
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path, entry)))
    sitk.WriteImage(cylinder(60), str(tmp_path / "phantom.nrrd"))
    arguments = ("--image", tmp_path / "phantom.nrrd", "--model", "bright", "--device", "cpu")

    assert nativedl("run", *arguments, "--output", tmp_path / "out") == 0

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {segment["volume_ml"] for segment in report["segments"]} == {0}
    assert any("hardly any bone is in the images" in warning for warning in report["warnings"])
