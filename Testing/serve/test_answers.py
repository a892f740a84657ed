"""What a client gets: models, choices, and results in each form."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from servers import wait_until
from tools import dciodvfy_errors, nativedl


def test_the_registrys_models_are_listed_in_short(service):
    models = {model["id"]: model for model in service.get("/models").json()["models"]}

    assert models["bright"]["modality"] == "CT"
    assert models["bright"]["segments"] == ["Liver"]
    assert {"liver-ct-demo", "vertebra-ct-demo"} <= models.keys()


def test_a_model_is_shown_with_its_parameters_and_without_its_files(service):
    model = service.get("/models/bright").json()

    assert [parameter["name"] for parameter in model["parameters"]] == ["step", "min_volume"]
    assert "bright.onnx" not in json.dumps(model)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("application/json", {"Modality": "CT", "BodyPartExamined": "LIVER", "SeriesDescription": "bright block"}),
        ("application/json; charset=utf-8", {"Modality": ["CT"], "ProtocolName": None, "BodyPartExamined": "LIVER"}),
        (
            "application/dicom+json",
            {
                "00080060": {"vr": "CS", "Value": ["CT"]},
                "00180015": {"vr": "CS", "Value": ["LIVER"]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Test^Patient"}]},
                "00081030": {"vr": "LO"},
            },
        ),
    ],
)
def test_attributes_go_in_and_a_model_comes_out_with_the_reasons(service, kind, attributes):
    choice = service.post("/select", data=json.dumps(attributes), headers={"Content-Type": kind}).json()

    assert choice["model"]["id"] == "bright"
    assert "BodyPartExamined is LIVER" in choice["reasons"]
    assert not next(row for row in choice["ranking"] if row["id"] == "vertebra-ct-demo")["fits"]


def test_where_no_model_fits_each_says_why(service):
    choice = service.post("/select", json={"Modality": "MR"}).json()

    assert choice["model"] is None
    assert {"is for CT, the series is MR"} == {reason for row in choice["ranking"] for reason in row["reasons"]}


def test_a_series_gives_a_valid_seg_of_itself(service, series, tmp_path):
    answer = service.predict(series, "?model=bright")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    (tmp_path / "seg.dcm").write_bytes(answer.content)
    seg, source = dcmread(tmp_path / "seg.dcm"), dcmread(series[0])
    assert seg.StudyInstanceUID == source.StudyInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


def test_the_result_is_that_of_the_same_command_here(service, series, registry, tmp_path):
    command = ("run", "--input", series[0].parent, "--model", "bright", "--set", "step=1", "--output", tmp_path / "out")
    assert nativedl(*command, "--segmentation", "LABELMAP", "--device", "cpu", registry=registry) == 0

    answer = service.predict(series, "?model=bright&set=step=1&segmentation=LABELMAP&format=zip")

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {path.name for path in (tmp_path / "out").iterdir()} == set(archive.namelist())
        archive.extractall(tmp_path / "there")
        report = json.loads(archive.read("report.json"))
    here, there = (sitk.ReadImage(tmp_path / name / "segmentation.nii.gz") for name in ("out", "there"))
    assert sitk.GetArrayFromImage(here).any()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(here), sitk.GetArrayFromImage(there))
    assert here.GetOrigin() == there.GetOrigin()
    segs = [dcmread(tmp_path / name / "segmentation.dcm") for name in ("out", "there")]
    assert segs[0].PixelData == segs[1].PixelData
    own = json.loads((tmp_path / "out" / "report.json").read_text())
    assert Path(own["model"].pop("registry")).name == "registry.json"  # a place on the server
    for key in ("model", "parameters", "segments", "outcome", "series", "weights_sha256"):
        assert report[key] == own[key]


def test_a_report_says_what_was_found_and_nothing_of_the_servers_folders(service, series):
    answer = service.predict(series, "?format=json&model=bright")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["segments"][0]["voxels"] > 0
    assert str(service.folder) not in answer.text
    assert "/" not in json.dumps(answer.json()["warnings"])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/dicom"),
        ("*/*", "application/dicom"),
        ("application/*;q=0.5", "application/dicom"),
        ("application/json", "application/json"),
        ("application/dicom;q=0.2, application/json;q=0.9", "application/json"),
        ("application/zip, text/html", "application/zip"),
    ],
)
def test_accept_chooses_the_form(service, series, accept, kind):
    answer = service.predict(series, "?model=bright", headers={"Accept": accept})

    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def test_instances_are_taken_as_dicomweb_sends_them(service, series):
    body = b"".join(
        b"\r\n--part of it\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() for file in series
    )
    kind = 'multipart/related; type="application/dicom"; boundary="part of it"'
    answer = service.post("/predict?model=bright", data=body + b"\r\n--part of it--", headers={"Content-Type": kind})

    assert answer.status_code == 200
    uids = {dcmread(file).SOPInstanceUID for file in series}
    seg = dcmread(io.BytesIO(answer.content))
    assert {
        item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } <= uids


def test_where_nothing_is_found_there_is_no_object_unless_it_is_asked_for(service, nothing_to_find):
    assert service.predict(nothing_to_find, "?model=bright").status_code == 204
    assert service.predict(nothing_to_find, "?model=bright&format=json").json()["outcome"] == "empty"
    kept = service.predict(nothing_to_find, "?model=bright&keep-empty=true")
    assert dcmread(io.BytesIO(kept.content)).Modality == "SEG"


def test_nothing_of_a_request_is_left_and_nothing_of_a_patient_is_logged(service, series):
    service.predict(series, "?model=bright")
    service.get("/models/Test^Patient")
    service.get("/Test^Patient")

    wait_until(lambda: not service.leftovers(), "nothing is left")
    assert len(service.reported("request")) >= 3
    for secret in ("Test^Patient", "bright block", str(series[0]), dcmread(series[0]).SeriesInstanceUID):
        assert secret not in service.log()
