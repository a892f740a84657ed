"""The whole way with a bundled model: a real series, a real Orthanc, foreign readers of the result."""

import json
import subprocess

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from servers import Orthanc
from tools import dciodvfy_errors, dcmqi, nativedl

from NativeDLLib.pacs.services import find
from NativeDLLib.source import Series


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def pacs_file(orthanc, tmp_path_factory):
    path = tmp_path_factory.mktemp("peers") / "pacs.json"
    peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port}
    path.write_text(json.dumps({"peers": [peer]}))
    return path


def merged_by_dcmqi(path, folder):
    """Return the label map that dcmqi reads, as an image of Segment Numbers."""
    folder.mkdir()
    command = [dcmqi("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(folder)]
    subprocess.run([*command, "--mergeSegments"], check=True, capture_output=True)
    (file,) = folder.glob("*.nrrd")
    return sitk.ReadImage(str(file))


def on_grid_of(image, reference):
    """Return an image's voxels on another grid, 0 beyond it; the grids must coincide."""
    offset = np.array(reference.TransformPhysicalPointToContinuousIndex(image.GetOrigin()))
    assert np.abs(offset - np.round(offset)).max() < 1e-3
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0))


def test_a_real_series_reaches_orthanc_as_a_seg_that_everyone_reads(tmp_path, real_data, orthanc, pacs_file):
    series, out = real_data / "upper_abdomen_ct_dicom", tmp_path / "out"
    run = ["run", "--input", series, "--model", "liver-ct-demo", "--output", out, "--to", "ORTHANC"]

    assert nativedl(*run, "--pacs", pacs_file) == 0

    seg = pydicom.dcmread(out / "segmentation.dcm")
    (answer,) = find(orthanc.peer(), "SERIES", {"StudyInstanceUID": seg.StudyInstanceUID, "Modality": "SEG"})
    assert answer.SeriesInstanceUID == seg.SeriesInstanceUID
    assert orthanc.instances() == [seg.SOPInstanceUID]
    assert dciodvfy_errors(out / "segmentation.dcm") == []
    labels = sitk.ReadImage(str(out / "segmentation.nii.gz"))
    expected = sitk.GetArrayFromImage(labels)
    assert expected.any()
    assert Series.read([series]).grid.matches(labels)
    by_dcmqi = merged_by_dcmqi(out / "segmentation.dcm", tmp_path / "dcmqi")
    np.testing.assert_array_equal(on_grid_of(by_dcmqi, labels), expected)
    by_highdicom = hd.seg.segread(out / "segmentation.dcm")
    sources = [instance.text("SOPInstanceUID") for instance in Series.read([series]).instances]
    frames = by_highdicom.get_pixels_by_source_instance(
        sources, combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(frames, expected)
    report = json.loads((out / "report.json").read_text())
    assert report["sent"] == {"peer": "ORTHANC", "delivered": True}
    assert "send" in {stage["name"] for stage in report["stages"]}


def test_a_peer_that_is_down_leaves_the_result_and_the_outbox(tmp_path, real_data, capsys):
    path = tmp_path / "pacs.json"
    path.write_text(json.dumps({"peers": [{"name": "DOWN", "ae_title": "DOWN", "host": "127.0.0.1", "port": 9}]}))
    out = tmp_path / "out"
    run = ["run", "--input", real_data / "liver_spine_ct_dicom", "--model", "liver-ct-demo", "--output", out]

    assert nativedl(*run, "--keep-empty", "--to", "DOWN", "--pacs", path) == 5

    error = capsys.readouterr().err
    assert "nativedl outbox send" in error
    assert str(out) in error
    assert (out / "segmentation.dcm").exists()
    assert json.loads((out / "report.json").read_text())["sent"]["delivered"] is False
    capsys.readouterr()
    assert nativedl("outbox", "list", "--pacs", path) == 0
    assert pydicom.dcmread(out / "segmentation.dcm").SOPInstanceUID in capsys.readouterr().out


def test_a_series_on_orthanc_is_retrieved_segmented_and_sent_back(tmp_path, real_data, orthanc, pacs_file):
    files = sorted((real_data / "liver_spine_ct_dicom").glob("0?.dcm"))
    assert nativedl("send", "ORTHANC", *files, "--pacs", pacs_file) == 0
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    source = ["--from", "ORTHANC", "--study", header.StudyInstanceUID, "--series", header.SeriesInstanceUID]
    run = ["run", *source, "--model", "liver-ct-demo", "--output", tmp_path / "out", "--to", "ORTHANC", "--keep-empty"]

    assert nativedl(*run, "--pacs", pacs_file) == 0

    found = find(orthanc.peer(), "SERIES", {"StudyInstanceUID": header.StudyInstanceUID})
    assert sorted(series.Modality for series in found) == ["CT", "SEG"]
