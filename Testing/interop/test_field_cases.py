"""Inputs that once failed in the field, each by its folder's name: segmented in the right place, or refused by name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from conftest import ROOT
from pydicom import dcmread
from tools import nativedl

from NativeDLLib.results.saved import SavedResult
from NativeDLLib.source import Series

# Cases that are segmented: the millilitres found, and the warning that must come.
SEGMENTED = {
    "birthtime": (0.6, ""),
    "cs_ir100": (0.6, ""),
    "cs_iso2022_100": (0.6, ""),
    "cs_jis87": (0.6, "are taken over byte for byte"),
    "cs_none_gbk": (0.6, "in no character set that it declares (none)"),
    "cs_none_latin1": (0.6, "in no character set that it declares (none)"),
    "cs_none_utf8": (0.6, "in no character set that it declares (none)"),
    "cs_wrongterm": (0.6, "in no character set that it declares (ISO-8859-1)"),
    "dupmeta": (0.6, "is a copy of"),
    "enh_concat": (0.6, ""),
    "enh_stray": (0.6, ""),
    "jls_signed12": (6.3, ""),
    "jls_signed12_ct": (0.6, ""),
    "lastmens": (0.6, ""),
    "loc_in_series": (0.6, "1 localizer(s) among 7 instances left out: IM0001"),
    "lossyempty": (0.6, ""),
    "padmulti": (0.6, ""),
    "pntrail": (0.6, ""),
    "pregnancy": (0.6, ""),
    "single_neg": (0.0, ""),
    "thickneg": (0.6, ""),
    "weightcomma": (0.6, ""),
    "weightkg": (0.6, ""),
    "with_deflated_seg": (0.6, "passed over: 1 other DICOM object(s): liver_deflate.dcm (Segmentation Storage)"),
    "with_parametricmap": (0.6, "passed over: 1 other DICOM object(s): parametric_map_float.dcm"),
    "with_seg": (0.6, "passed over: 1 other DICOM object(s): liver.dcm (Segmentation Storage)"),
}
REFUSED = {
    "batchdup": "holds 3 image series, choose one",
    "batchtrunc": "holds 3 image series, choose one",
    "cl_phases": "holds 2 volumes that differ in AcquisitionNumber (1, 2)",
    "enh_canon": "holds 3 volumes that differ in TemporalPositionIdentifier (1, 2, 3)",
    "enh_phases": "holds 2 volumes that differ in TemporalPositionIdentifier (1, 2)",
    "highbit15": "HighBit is 15, and not one less than BitsStored, which is 12",
    "modlut": "has a Modality LUT Sequence",
    "modlutmr": "has a Modality LUT Sequence",
    "mosaic1": "is a mosaic of 36 slices in one image",
}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# Cases with a test of their own: below, and of structure sets in regions.
OTHERS = {"halflink", "registry", "rt"}


@pytest.fixture
def dicom(real_data):
    return real_data / "field_cases" / "dicom"


@pytest.fixture
def run(dicom, tmp_path):
    """Segment a case and return the exit code and the folder of the result."""

    def start(case, *more, model="bright"):
        command = ("run", case, "--model", model, "-o", tmp_path / "out", *more)
        return nativedl(*command, registry=dicom / "registry" / "registry.json"), tmp_path / "out"

    return start


def report_in(folder):
    return json.loads((folder / "report.json").read_text())


def test_every_case_is_held(dicom):
    there = {path.name for path in dicom.iterdir() if path.is_dir()}

    assert there - SEGMENTED.keys() - REFUSED.keys() == OTHERS


@pytest.mark.parametrize("case", SEGMENTED)
def test_a_case_is_segmented_and_its_objects_lie_on_its_images(dicom, run, case):
    ml, warning = SEGMENTED[case]

    code, out = run(dicom / case)

    report = report_in(out)
    assert code == 0
    assert round(report["segments"][0]["volume_ml"], 1) == ml
    assert not warning or any(warning in line for line in report["warnings"])
    if report["segmentation"]:
        series = Series.read([dicom / case])
        found = SavedResult.read(out)
        assert series.grid.matches(sitk.ReadImage(str(out / "segmentation.nii.gz")))
        assert found.labels(series).shape == series.grid.size[::-1]
        positions = {tuple(map(float, s.position)) for s in series.slices}
        frames = dcmread(out / "segmentation.dcm").PerFrameFunctionalGroupsSequence
        assert {tuple(map(float, f.PlanePositionSequence[0].ImagePositionPatient)) for f in frames} <= positions


@pytest.mark.parametrize("case", REFUSED)
def test_a_case_is_refused_by_name_and_nothing_is_written(dicom, run, case, capsys):
    mr = case in ("modlutmr", "mosaic1")

    code, out = run(dicom / case, model="brightmr" if mr else "bright")

    assert code == 3
    assert REFUSED[case] in capsys.readouterr().err
    assert not out.exists()


def test_the_stray_geometry_of_an_enhanced_image_is_used_by_nobody(dicom, run):
    code, out = run(dicom / "enh_stray", "--format", "seg,rtstruct")

    image = sitk.ReadImage(str(out / "segmentation.nii.gz"))
    shared = dcmread(out / "segmentation.dcm").SharedFunctionalGroupsSequence[0]
    assert code == 0
    assert np.allclose(image.GetSpacing()[:2], 1.0)
    assert list(map(float, shared.PixelMeasuresSequence[0].PixelSpacing)) == [1.0, 1.0]
    assert list(map(float, shared.PlaneOrientationSequence[0].ImageOrientationPatient)) == [1, 0, 0, 0, 1, 0]
    voxels = np.argwhere(sitk.GetArrayFromImage(image))[:, ::-1]
    places = np.array([image.TransformIndexToPhysicalPoint([int(i) for i in voxel]) for voxel in voxels])
    contours = dcmread(out / "segmentation_rtstruct.dcm").ROIContourSequence[0].ContourSequence
    points = np.concatenate([np.reshape(contour.ContourData, (-1, 3)) for contour in contours]).astype(float)
    assert np.allclose(points.min(axis=0), places.min(axis=0), atol=1)
    assert np.allclose(points.max(axis=0), places.max(axis=0), atol=1)


def test_half_of_a_series_behind_a_link_is_named(dicom, run, tmp_path):
    shutil.copytree(dicom / "halflink", tmp_path / "half")
    (tmp_path / "half" / "study" / "part2").unlink()
    (tmp_path / "half" / "study" / "part2").symlink_to(tmp_path / "half" / "elsewhere")

    code, out = run(tmp_path / "half" / "study")

    assert code == 0
    assert "passed over: 1 link(s) to folders: part2" in report_in(out)["warnings"]
    assert report_in(out)["series"]["size"][2] == 4


@pytest.mark.parametrize("case", ["batchdup", "batchtrunc"])
def test_the_fault_of_one_series_of_a_batch_is_its_own(dicom, tmp_path, case):
    registry = dicom / "registry" / "registry.json"

    assert nativedl("batch", dicom / case, "--model", "bright", "-o", tmp_path / "out", registry=registry) == 7

    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    last = {line["case"]: line for line in lines}
    (failed,) = [line for line in last.values() if line["state"] == "failed"]
    assert sorted(line["state"] for line in last.values()) == ["done", "done", "failed"]
    expected = "but other content" if case == "batchdup" else "is a damaged DICOM file (its pixel data break off)"
    assert expected in failed["reason"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes there")
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C"}, ASCII])
def test_a_folder_with_a_name_in_latin_1_is_segmented_like_any_other(dicom, tmp_path, locale):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cohort/M\xfcller"))
    shutil.copytree(dicom / "pntrail", folder)
    environment = os.environ | {"NATIVEDL_REGISTRY": str(dicom / "registry" / "registry.json"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "NativeDLLib", "batch", "cohort", "--model", "bright", "-o", "out"]

    subprocess.run(command, cwd=tmp_path, env=environment | locale, check=True, capture_output=True)

    (report,) = (tmp_path / "out").glob("*/report.json")
    assert json.loads(report.read_text())["outcome"] == "segmented"
    for name in ("--input", "--files"):
        given = folder
        if name == "--files":
            given = tmp_path / "list.txt"
            given.write_bytes(b"".join(os.fsencode(path) + b"\n" for path in sorted(folder.rglob("IM*"))))
        one = [*command[:3], "run", name, given, "--model", "bright", "-o", f"out{name}"]
        subprocess.run(one, cwd=tmp_path, env=environment | locale, check=True, capture_output=True)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes there")
def test_a_result_in_a_folder_that_itk_cannot_name_is_refused_before_the_work(dicom, run, tmp_path, capsys):
    wrong = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))

    assert run(dicom / "pntrail", "-o", wrong / "out")[0] == 3
    assert "only where the name is UTF-8 text" in capsys.readouterr().err
    wrong.mkdir()
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16), str(tmp_path / "image.nrrd"))
    shutil.move(tmp_path / "image.nrrd", wrong / "image.nrrd")
    command = ("run", "--image", wrong / "image.nrrd", "--model", "bright", "-o", tmp_path / "out")
    assert nativedl(*command, registry=dicom / "registry" / "registry.json") == 3


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 2, bytes(4096), None])
def test_a_last_slice_that_is_none_is_named_on_terminal_and_report(real_data, run, tmp_path, content, capsys):
    shutil.copytree(real_data / "field_cases" / "cli" / "empty_last_slice", tmp_path / "series")
    files = sorted((tmp_path / "series").iterdir())
    beginning = files[0].read_bytes()[:100]
    files[-1].chmod(0o644)
    files[-1].write_bytes(beginning if content is None else content)

    code, out = run(tmp_path / "series")

    named = [line for line in report_in(out)["warnings"] if files[-1].name in line]
    assert code == 0
    assert len(named) == 1
    assert named[0] in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_terminal_cannot_show_is_shown_with_escapes(real_data, tmp_path, encoding):
    command = [sys.executable, "-m", "NativeDLLib", "inspect", "--input"]
    case = real_data / "field_cases" / "cli" / "japanese_name"
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}

    ended = subprocess.run([*command, case], env=environment, capture_output=True, check=True)

    name = str(pydicom.dcmread(case / "01.dcm").PatientName)
    assert not name.isascii()
    assert b"\\u" in ended.stdout.splitlines()[0]


def test_a_batch_by_a_model_that_was_never_fetched_is_refused_at_once(dicom, tmp_path, capsys):
    command = ("batch", dicom / "pntrail", "--model", "totalsegmentator-3mm", "-o", tmp_path / "out")

    assert nativedl(*command) == 4
    assert "fetch" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
