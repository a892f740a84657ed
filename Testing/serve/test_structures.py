"""A segmentation as contours: an RT Structure Set, or regions for a physician to judge."""

import io
import json

import pytest
from pydicom import dcmread
from tools import dciodvfy_errors, nativedl


def test_a_series_gives_a_valid_structure_set_of_itself(service, series, tmp_path):
    answer = service.predict(series, "?model=bright&format=rtstruct")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    (tmp_path / "rtstruct.dcm").write_bytes(answer.content)
    structures, source = dcmread(tmp_path / "rtstruct.dcm"), dcmread(series[0])
    assert structures.Modality == "RTSTRUCT"
    assert structures.StudyInstanceUID == source.StudyInstanceUID
    assert [roi.ROIName for roi in structures.StructureSetROISequence] == ["Liver"]
    assert dciodvfy_errors(tmp_path / "rtstruct.dcm") == []


def test_a_series_gives_the_regions_that_the_same_commands_give_here(service, series, registry, tmp_path):
    source = ("--input", series[0].parent)
    assert nativedl("run", *source, "--model", "bright", "--output", tmp_path / "out", registry=registry) == 0
    file = tmp_path / "regions.json"
    assert nativedl("regions", *source, "--result", tmp_path / "out", "--output", file) == 0

    answer = service.predict(series, "?model=bright&format=regions")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    points = [
        [row["points"] for row in regions["regions"]] for regions in (answer.json(), json.loads(file.read_text()))
    ]
    assert points[0]
    assert points[0] == points[1]
    assert str(service.folder) not in answer.text


def test_where_nothing_is_found_there_is_no_structure_set(service, nothing_to_find):
    assert service.predict(nothing_to_find, "?model=bright&format=rtstruct").status_code == 204


@pytest.mark.parametrize("objects", ["seg", "seg,rtstruct"])
def test_a_server_as_a_device_writes_the_objects_that_are_asked_for(service, series, registry, tmp_path, objects):
    command = ("run", "--input", series[0].parent, "--model", "bright", "--format", objects, "--output")
    assert nativedl(*command, tmp_path / "here", registry=registry) == 0
    assert nativedl(*command, tmp_path / "there", "--device", service.url, registry=registry) == 0

    here, there = ({path.name for path in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert here == there
    assert ("segmentation_rtstruct.dcm" in there) == (objects != "seg")
    for name in sorted(there & {"segmentation.dcm", "segmentation_rtstruct.dcm"}):
        assert dcmread(io.BytesIO((tmp_path / "there" / name).read_bytes())).StudyInstanceUID
