"""A run that stores an RT Structure Set beside its SEG."""

import json

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from drawing import by_plastimatch, dice
from tools import dciodvfy_errors, nativedl

from NativeDLLib.volumes.seg_nrrd import write_image


@pytest.fixture
def registry(tmp_path):
    return factories.registry(tmp_path / "registry")


def run(tmp_path, registry, *more):
    given = more if "--image" in more else ("--input", tmp_path / "series", *more)
    return nativedl("run", *given, "--output", tmp_path / "out", registry=registry)


def report(tmp_path):
    return json.loads((tmp_path / "out" / "report.json").read_text())


def test_a_structure_set_of_what_was_found_is_written_beside_the_seg(tmp_path, registry):
    factories.ct_series(tmp_path / "series")

    assert run(tmp_path, registry, "--format", "seg,rtstruct") == 0

    path = tmp_path / "out" / "segmentation_rtstruct.dcm"
    dataset = pydicom.dcmread(path)
    assert dciodvfy_errors(path) == []
    assert (dataset.ApprovalStatus, dataset.SeriesDescription) == ("UNAPPROVED", "Bright block (automatic)")
    assert report(tmp_path)["structure_set"]["sop_instance_uid"] == dataset.SOPInstanceUID
    assert report(tmp_path)["files"][path.name] == str(path)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz")))
    masks = by_plastimatch(path, tmp_path / "series", tmp_path / "masks")
    assert dice(masks["Liver"], labels == 1) >= 0.98


def test_without_being_asked_for_there_is_none(tmp_path, registry):
    factories.ct_series(tmp_path / "series")
    run(tmp_path, registry, "--format", "seg,rtstruct")

    assert run(tmp_path, registry, "--overwrite") == 0

    assert not (tmp_path / "out" / "segmentation_rtstruct.dcm").exists()
    assert report(tmp_path)["structure_set"] is None
    assert "segmentation_rtstruct.dcm" not in report(tmp_path)["files"]


def test_nothing_found_is_no_structure_set_even_where_an_empty_seg_is_kept(tmp_path, registry):
    factories.ct_series(tmp_path / "series", np.full((6, 32, 40), -1000))

    assert run(tmp_path, registry, "--format", "seg,rtstruct", "--keep-empty") == 0

    assert (tmp_path / "out" / "segmentation.dcm").exists()
    assert not (tmp_path / "out" / "segmentation_rtstruct.dcm").exists()


def test_an_image_that_does_not_come_from_dicom_has_no_structure_set(tmp_path, registry, capsys):
    write_image(sitk.GetImageFromArray(factories.block()), tmp_path / "ct.nii.gz")
    given = ["--image", tmp_path / "ct.nii.gz", "--model", "bright"]

    assert run(tmp_path, registry, *given, "--format", "seg,rtstruct") == 2

    assert "--format needs a DICOM series" in capsys.readouterr().err


def test_an_unknown_format_is_refused(tmp_path, registry, capsys):
    assert run(tmp_path, registry, "--format", "pdf") == 2

    assert "--format" in capsys.readouterr().err
