"""What is to be known before a run: ``inspect``, ``devices``, ``database``, for people and for programs."""

import json
import sqlite3

import factories
import numpy as np
import pydicom
import pytest
from tools import nativedl

from NativeDLLib.core.progress import StageCost
from NativeDLLib.results.report import ModelName, Report, ReportedSeries
from NativeDLLib.segment.estimate import remember
from NativeDLLib.source import Series
from Testing.slicer.standin.dicomschema import statements

RUN = Report(
    "segmented",
    ReportedSeries("1.2", "1.2.3", "CT", (40, 32, 6), (1, 1, 2)),
    ModelName("bright", "1.2.3"),
    device="cpu (onnxruntime)",
    stages=[StageCost("infer", 5, 100)],
)


@pytest.fixture
def ask(registry, capsys):
    """Run a command for a program and return its result, or the message of its error."""

    def ask(*arguments, code=0, known=registry):
        capsys.readouterr()
        assert nativedl(*arguments, "--events", registry=known) == code
        last = json.loads(capsys.readouterr().out.splitlines()[-1])
        return last if code == 0 else last["message"]

    return ask


def volume(files, move=0.0):
    """Return a series as a loaded volume, as the panel describes it, moved by so many voxels along the slices."""
    grid = Series.read(files).grid
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(grid.direction, (3, 3)) * grid.spacing
    lps[:3, 3] = grid.origin
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    ras[:3, 3] += move * ras[:3, 2]
    return json.dumps({"size": grid.size, "ijk_to_ras": ras.ravel().tolist()})


def of(result, name="bright"):
    return next(model for model in result["models"] if model["id"] == name)


def listed(folder, files):
    path = folder / "files.txt"
    path.write_text("\n".join(map(str, files)))
    return path


def test_a_series_is_described_as_people_write(tmp_path, ask):
    def edit(dataset, _):
        dataset.PatientName, dataset.ReferringPhysicianName = "Doe^Jane^^Dr.", "Who^^^^MD"
        dataset.InstitutionName, dataset.PatientBirthDate = "St. Mary^s", "unknown!"

    study = str(pydicom.dcmread(factories.ct_series(tmp_path / "series", edit=edit)[0]).StudyInstanceUID)

    result = ask("inspect", "--input", tmp_path / "series")

    assert result["facts"] == {
        "Name": "Doe, Jane, Dr.", "Patient ID": "P1", "Birth date": "unknown!", "Sex": "O", "Accession number": "A1",
        "Institution": "St. Mary^s", "Referring physician": "Who, MD", "Study date": "2026-01-02",
        "Study time": "10:11:12", "Study ID": "1", "Study UID": study, "Study": "Abdomen",
        "Series": "bright block",
    }  # fmt: skip
    assert (result["modality"], result["size"], result["spacing_mm"]) == ("CT", [40, 32, 6], [1, 1, 2])
    assert result["no_seg_because"] is None


def test_each_model_comes_with_its_verdict_and_all_that_a_form_needs(series, ask):
    found = of(ask("inspect", "--input", series))

    assert found["fits"]
    assert found["reasons"][0] == "CT as wanted"
    assert (found["title"], found["version"], found["runtime"]) == ("Bright block", "1.2.3", "onnx")
    assert found["segments"] == ["Liver"]
    assert [(p["name"], p["type"], p["default"], p["unit"]) for p in found["parameters"]] == [
        ("step", "number", 0.5, ""), ("min_volume", "number", 0.05, "mL"),
    ]  # fmt: skip
    assert found["problem"] is found["expected"] is found["card"] is None


def test_the_best_model_comes_first(series, ask):
    fits = [model["fits"] for model in ask("inspect", "--input", series)["models"]]

    assert fits == sorted(fits, reverse=True)


def test_a_model_whose_weights_are_gone_says_so(registry, series, ask):
    (registry.parent / "bright.onnx").unlink()

    problem = of(ask("inspect", "--input", series))["problem"]

    assert problem == f"model bright: its weights {registry.parent / 'bright.onnx'} are not there"


def test_a_model_whose_runtime_is_not_installed_says_so(series, ask, monkeypatch):
    monkeypatch.setattr("NativeDLLib.registry.runtimes.find_spec", lambda name: None if name == "onnxruntime" else name)

    assert of(ask("inspect", "--input", series))["problem"] == "model bright: needs onnxruntime, which is not installed"


def test_what_ran_before_tells_what_this_will_take_on_the_device(series, ask):
    remember(RUN)

    assert of(ask("inspect", "--input", series, "--device", "cpu"))["expected"]["seconds"] == 5
    assert of(ask("inspect", "--input", series, "--device", "cuda:0"))["expected"] is None


def test_a_volume_with_the_voxels_of_its_slices_can_become_a_seg(tmp_path, ask):
    files = factories.ct_series(tmp_path / "s", backwards=True)

    result = ask("inspect", "--files", listed(tmp_path, files), "--loaded", volume(files, 0.05))

    assert result["no_seg_because"] is None


def test_a_volume_that_was_moved_cannot_and_is_inspected_as_it_is_now(tmp_path, ask):
    files = factories.ct_series(tmp_path / "s")
    moved = json.loads(volume(files, 0.5)) | {"size": [40, 32, 12]}

    result = ask("inspect", "--files", listed(tmp_path, files), "--loaded", json.dumps(moved))

    assert result["no_seg_because"].startswith(
        "The volume's voxels are not those of its DICOM slices: it was resampled"
    )
    assert (result["size"], result["facts"]["Patient ID"]) == ([40, 32, 12], "P1")


def uneven(dataset, index):
    if index == 3:
        dataset.ImagePositionPatient = [-20, -16, 107]


def test_a_series_without_a_grid_is_refused_unless_slicer_made_a_volume_of_it(tmp_path, ask):
    regular = volume(factories.ct_series(tmp_path / "regular"))
    names = listed(tmp_path, factories.ct_series(tmp_path / "uneven", edit=uneven))

    refused = ask("inspect", "--files", names, "--loaded", regular, code=3)
    result = ask("inspect", "--files", names, "--loaded", regular, "--regularized")

    assert "cannot be segmented truthfully" in refused
    assert result["no_seg_because"] == f"Slicer resampled the volume when it loaded it. {refused}"
    assert (result["size"], result["series"]) == ([40, 32, 6], None)
    assert ask("inspect", "--files", names, "--regularized", code=3) == refused


def test_a_volume_without_images_is_inspected_alone(tmp_path, ask):
    result = ask("inspect", "--loaded", volume(factories.ct_series(tmp_path / "s", spacing=(0.5, 0.7, 3))))

    assert (result["size"], result["spacing_mm"]) == ([40, 32, 6], [0.5, 0.7, 3])
    assert result["no_seg_because"].startswith("The volume does not come from DICOM images")
    assert not any(result["facts"].values())
    assert not of(result)["fits"]


MATRIX = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", "{}", "3", '{"size": [1, 1, 1]}', "[" * 100_000]
    + [
        json.dumps({"size": size, "ijk_to_ras": matrix})
        for size, matrix in (
            ([1, 1], MATRIX), ([0, 1, 1], MATRIX), (3, MATRIX), (["a", 1, 1], MATRIX), ([1, 1, 1], MATRIX[:15]),
            ([1, 1, 1], [float("nan"), *MATRIX[1:]]), ([float("inf"), 1, 1], MATRIX),
            ([1, 1, 1], [10**400, *MATRIX[1:]]),
            ([1, 1, 1], [0, *MATRIX[1:]]), ([1, 1, 1], None),
        )
    ],
)  # fmt: skip
def test_a_volume_that_is_none_is_a_mistake_of_usage(ask, text):
    assert ask("inspect", "--loaded", text, code=2).startswith("--loaded: ")


@pytest.mark.parametrize("sources", [(), ("input", "files"), ("files", "database")])
def test_one_source_is_to_be_named(tmp_path, ask, sources):
    arguments = [word for source in sources for word in (f"--{source}", tmp_path)]

    assert ask("inspect", *arguments, code=2) == "name one source"


def test_an_unknown_device_is_a_mistake_of_usage(series, ask):
    assert ask("inspect", "--input", series, "--device", "tpu", code=2).startswith("device tpu: ")


def test_a_person_reads_facts_voxels_and_a_line_for_each_model(registry, series, capsys):
    remember(RUN)

    assert nativedl("inspect", "--input", series, registry=registry) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Name: Test, Patient"
    assert "Voxels: 40 x 32 x 6, 1 x 1 x 2 mm" in lines
    (bright,) = [line for line in lines if line.startswith("bright: ")]
    assert bright.startswith("bright: fits: CT as wanted; ")
    assert bright.endswith("; about 5 s (last run on this computer)")


def test_a_person_reads_which_models_do_not_fit(tmp_path, registry, capsys):
    alone = volume(factories.ct_series(tmp_path / "s"))

    assert nativedl("inspect", "--loaded", alone, registry=registry) == 0

    assert "bright: does not fit: is for CT, the series is without modality" in capsys.readouterr().out.splitlines()


def test_the_processor_is_always_a_device(ask, capsys):
    assert ask("devices")["devices"]["cpu"].startswith("processor, ")
    assert nativedl("devices") == 0
    assert "cpu  processor, " in capsys.readouterr().out


@pytest.fixture
def database(tmp_path):
    connection = sqlite3.connect(tmp_path / "ctkDICOM.sql")
    connection.executescript(";\n".join(statements()))
    connection.executescript(
        "INSERT INTO Patients (PatientsName, PatientID, InsertTimestamp) VALUES ('Doe^Jane^^Dr.', 'P/1', '');"
        "INSERT INTO Studies (StudyInstanceUID, PatientsUID, StudyDate, StudyDescription, InsertTimestamp)"
        " VALUES ('1.1', 1, 20260102, 'Abdomen', '');"
        "INSERT INTO Series (SeriesInstanceUID, StudyInstanceUID, SeriesDescription, Modality, InsertTimestamp)"
        " VALUES ('1.2', '1.1', 'Venous 3 mm', 'CT', ''), ('1.3', '1.1', NULL, 'SEG', ''),"
        " ('1.4', '1.1', NULL, 'MR', '');"
        "INSERT INTO Images (SOPInstanceUID, SeriesInstanceUID, InsertTimestamp) VALUES ('1.2.1', '1.2', '');"
    )
    connection.close()
    return tmp_path / "ctkDICOM.sql"


def test_the_image_series_of_the_database_are_listed_with_what_they_are_found_by(database, ask):
    rows = {row["uid"]: row for row in ask("database", database)["series"]}

    assert set(rows) == {"1.2", "1.4"}
    assert rows["1.2"] == {
        "columns": ["Doe, Jane, Dr.", "2026-01-02", "Venous 3 mm", "CT", "1"],
        "words": "doe, jane, dr. 2026-01-02 venous 3 mm ct 1 abdomen p/1 doe^jane^^dr. 20260102",
        "uid": "1.2",
        "tip": "Abdomen · Venous 3 mm",
    }
    assert (rows["1.4"]["columns"][2:], rows["1.4"]["tip"]) == (["", "MR", "0"], "Abdomen")


def test_a_person_reads_a_line_for_each_series(database, capsys):
    assert nativedl("database", database.parent) == 0

    assert "Doe, Jane, Dr.  2026-01-02  Venous 3 mm  CT  1  1.2" in capsys.readouterr().out.splitlines()
