"""What the gates find is in the report, in the warnings, in the SEG and the structure set, and after a review too."""

import json
import shutil

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from tools import dciodvfy_errors, nativedl

from NativeDLLib.phantom.torso import make_phantom

pytestmark = pytest.mark.slow


def registry(tmp_path):
    weights = factories.threshold_onnx(tmp_path / "bright.onnx", 1.5)
    entry = factories.entry(weights={"file": weights.name, "sha256": factories.digest(weights)})
    entry["output"]["segments"][0]["plausible"] = {"volume_ml": [1, 5], "side": "R"}
    return factories.registry(tmp_path, entry)


def voxels(place):
    """Return a body in air with a bright block of 20 x 20 mm in it."""
    values = np.random.default_rng(2).normal(-1000, 12, (9, 48, 64)).astype(np.int16)
    values[:, 8:40, 6:58] += 1040
    values[place, 14:34, 36:56] = 400
    return values


def run(tmp_path, values, *more, edit=None):
    factories.ct_series(tmp_path / "series", values, edit=edit)
    arguments = ("--input", tmp_path / "series", "--output", tmp_path / "out", *more)
    assert nativedl("run", *arguments, registry=registry(tmp_path)) == 0
    return json.loads((tmp_path / "out" / "report.json").read_text())


@pytest.fixture
def suspicious(tmp_path):
    """A result on the left, cut at the top, and larger than plausible."""
    return run(tmp_path, voxels(slice(1, 9)), "--format", "seg,rtstruct")


def test_the_report_has_each_finding_with_its_code_and_warns_of_it(suspicious):
    assert [(row["code"], row["segment"]) for row in suspicious["quality"]] == [
        ("orientation-suspicious", "Liver"),
        ("implausible-volume", "Liver"),
        ("cut-by-border", "Liver"),
    ]
    told = [row["message"] for row in suspicious["quality"]]
    assert "has 6 mL, where 1 to 5 mL are plausible" in told[1]
    assert "cut by the superior (4 cm2) border" in told[2]
    assert suspicious["warnings"][-3:] == told


def test_the_seg_names_what_to_check_in_its_descriptions_and_tells_it_in_full_with_the_segment(tmp_path, suspicious):
    path = tmp_path / "out" / "segmentation.dcm"
    seg = pydicom.dcmread(path)

    expected = "Bright block; check: orientation, volume +1"
    assert (seg.SeriesDescription, seg.ContentDescription) == (expected, expected)
    assert seg.SegmentSequence[0].SegmentDescription == "; ".join(row["message"] for row in suspicious["quality"])
    assert dciodvfy_errors(path) == []


def test_the_structure_set_names_it_too(tmp_path, suspicious):
    path = tmp_path / "out" / "segmentation_rtstruct.dcm"

    assert pydicom.dcmread(path).SeriesDescription == "Bright block; check: orientation, volume +1 (automatic)"
    assert dciodvfy_errors(path) == []


def test_a_result_without_findings_says_nothing(tmp_path):
    report = run(tmp_path, voxels(slice(2, 6))[:, :, ::-1])

    seg = pydicom.dcmread(tmp_path / "out" / "segmentation.dcm")
    assert report["quality"] == []
    assert seg.SeriesDescription == seg.ContentDescription == "Bright block"
    assert "SegmentDescription" not in seg.SegmentSequence[0]


def test_a_mirrored_patient_is_told_of_the_whole_image_whatever_the_model_marked(tmp_path):
    image, _ = make_phantom(1, (64, 64, 40), (6.0, 6.0, 8.0))
    values = sitk.GetArrayFromImage(image)[:, :, ::-1]
    factories.ct_series(tmp_path / "series", values, spacing=(6.0, 6.0, 8.0))
    arguments = ("--input", tmp_path / "series", "--output", tmp_path / "out")
    assert nativedl("run", *arguments, registry=registry(tmp_path)) == 0

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (told,) = (row for row in report["quality"] if row["segment"] is None)
    assert told["code"] == "orientation-suspicious"
    assert told["message"].startswith(
        "the images may be mirrored or turned: the largest soft organ, as a rule the liver,"
    )
    assert told["message"] in report["warnings"]
    assert "check: orientation" in pydicom.dcmread(tmp_path / "out" / "segmentation.dcm").SeriesDescription


def test_nothing_found_and_no_hounsfield_units_are_said_of_the_whole_image(tmp_path):
    def subtract_twice(dataset, _):
        dataset.RescaleIntercept = -2048

    report = run(tmp_path, voxels(slice(0, 0)), "--keep-empty", edit=subtract_twice)

    assert [(row["code"], row["segment"]) for row in report["quality"]] == [
        ("nothing-found", None),
        ("not-hounsfield", None),
    ]
    path = tmp_path / "out" / "segmentation.dcm"
    seg = pydicom.dcmread(path)
    assert seg.SeriesDescription == "Bright block; check: nothing found, not HU"
    described = [item.ContributionDescription for item in seg.ContributingEquipmentSequence]
    assert any("below -1200" in text for text in described)
    assert dciodvfy_errors(path) == []


def test_what_is_read_without_its_intercept_is_said_to_be_no_hounsfield_units(tmp_path):
    def forget(dataset, _):
        del dataset.RescaleIntercept, dataset.RescaleSlope

    (first, *_) = run(tmp_path, voxels(slice(2, 6)), edit=forget)["quality"]

    assert first["code"] == "not-hounsfield"
    assert "RescaleIntercept may be missing" in first["message"]


def approve(tmp_path, *more):
    arguments = ["--result", tmp_path / "out", "--edited", tmp_path / "edited.seg.nrrd", "--reviewer", "Doe^Jane"]
    arguments += ["--input", tmp_path / "series", "--output", tmp_path / "approved", "--unreviewed", *more]
    assert nativedl("approve", *arguments) == 0
    report = json.loads((tmp_path / "approved" / "approved.json").read_text())
    return report, pydicom.dcmread(tmp_path / "approved" / "approved.dcm")


def test_an_approved_result_still_says_what_is_to_be_checked(tmp_path, suspicious):
    shutil.copy(tmp_path / "out" / "segmentation.seg.nrrd", tmp_path / "edited.seg.nrrd")

    report, seg = approve(tmp_path, "--format", "seg,rtstruct")

    assert report["quality"] == suspicious["quality"]
    assert report["warnings"][-3:] == [row["message"] for row in suspicious["quality"]]
    assert seg.SeriesDescription == "Bright block; check: orientation, volume +1 (not reviewed)"
    assert dciodvfy_errors(tmp_path / "approved" / "approved.dcm") == []
    assert "+1 (not approved)" in pydicom.dcmread(tmp_path / "approved" / "approved_rtstruct.dcm").SeriesDescription


def test_what_a_physician_corrects_is_judged_anew_and_what_needs_the_image_stays(tmp_path, suspicious):
    edited = sitk.ReadImage(str(tmp_path / "out" / "segmentation.seg.nrrd"))
    edited[:, :, edited.GetDepth() - 3 :] = 0
    sitk.WriteImage(edited, str(tmp_path / "edited.seg.nrrd"))

    report, seg = approve(tmp_path)

    assert [row["code"] for row in report["quality"]] == ["orientation-suspicious"]
    assert seg.SeriesDescription == "Bright block; check: orientation (not reviewed)"
    assert seg.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_results_of_before_there_were_gates_can_still_be_approved(tmp_path, suspicious):
    path = tmp_path / "out" / "report.json"
    path.write_text(json.dumps({key: value for key, value in suspicious.items() if key != "quality"}))
    shutil.copy(tmp_path / "out" / "segmentation.seg.nrrd", tmp_path / "edited.seg.nrrd")

    report, _ = approve(tmp_path)

    assert [row["code"] for row in report["quality"]] == ["implausible-volume", "cut-by-border"]
