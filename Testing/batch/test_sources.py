"""Batches of tables and of a PACS, to their results; and command lines that make no sense."""

import json

import factories
import pytest
from servers import LOOPBACK, Orthanc
from tools import nativedl

from NativeDLLib.pacs.services import find
from NativeDLLib.pacs.store import store_each


@pytest.fixture
def orthanc(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", LOOPBACK)
    monkeypatch.setenv("NATIVEDL_OUTBOX", str(tmp_path / "outbox"))
    with Orthanc(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture
def pacs_file(tmp_path):
    def write(server):
        address = {"name": "ORTHANC", "ae_title": server.ae_title, "host": LOOPBACK, "port": server.port}
        (tmp_path / "pacs.json").write_text(json.dumps({"peers": [address]}))
        return tmp_path / "pacs.json"

    return write


def of_patient(patient):
    def edit(dataset, _):
        dataset.PatientID = patient

    return edit


def segs(server, patient):
    studies = find(server.peer(), "STUDY", {"PatientID": patient})
    keys = [{"StudyInstanceUID": str(study.StudyInstanceUID), "Modality": "SEG"} for study in studies]
    return [series for key in keys for series in find(server.peer(), "SERIES", key)]


def test_what_a_pacs_finds_is_segmented_and_sent_back(tmp_path, orthanc, pacs_file, batch):
    for index, patient in enumerate(["WANTED", "WANTED", "OTHER"]):
        files = factories.ct_series(tmp_path / str(index), edit=of_patient(patient))
        list(store_each(orthanc.peer(), files))
    wanted = batch("--from", "ORTHANC", "--patient-id", "WANTED", "--to", "ORTHANC", "--pacs", pacs_file(orthanc))

    assert wanted.run("--jobs", 2) == 0
    assert wanted.run() == 0

    assert len(wanted.results()) == 2
    assert len(segs(orthanc, "WANTED")) == 2
    assert not segs(orthanc, "OTHER")


def test_models_in_a_pacs_are_counted_and_no_cases(tmp_path, orthanc, pacs_file, batch, registry, capsys):
    list(store_each(orthanc.peer(), factories.ct_series(tmp_path / "a", edit=of_patient("WANTED"))))
    pacs = ("--pacs", pacs_file(orthanc))
    assert nativedl("models", "push", "bright", "--to", "ORTHANC", *pacs, registry=registry) == 0

    assert batch("--from", "ORTHANC", "--modality", "CT", *pacs).run() == 0

    assert "1 cases; left out: 1 models" in capsys.readouterr().err
    assert nativedl("find", "ORTHANC", *pacs) == 0
    assert capsys.readouterr().out.count("(a model, no images)") == 1


def test_a_result_that_could_not_be_sent_is_sent_later_and_not_made_again(tmp_path, orthanc, pacs_file, batch):
    factories.ct_series(tmp_path / "series", edit=of_patient("P1"))
    one = batch("--input", tmp_path / "series", "--to", "ORTHANC", "--pacs", pacs_file(orthanc))
    orthanc.kill()
    assert one.run() == 7
    (line,) = [line for line in one.lines() if line["state"] == "failed"]
    assert line["code"] == 5
    ((name, (uid, _)),) = one.results().items()

    orthanc.start()
    assert one.run("--retry-failed") == 0

    assert one.results()[name][0] == uid
    assert orthanc.instances() == [uid]
    assert json.loads((one.output / name / "report.json").read_text())["sent"]["delivered"] is True


def test_a_table_names_series_and_models(tmp_path, batch, capsys):
    good, bad = tmp_path / "good", tmp_path / "bad"
    factories.ct_series(good)
    factories.ct_series(bad)
    (tmp_path / "cohort.csv").write_text("id,path,model\nyes,good,bright\nno,gone,\n")
    table = batch("--csv", tmp_path / "cohort.csv", "--jobs", 2)

    assert table.run() == 7

    assert table.states() == {"yes": "done", "no": "failed"}
    assert "gone: does not exist" in capsys.readouterr().out
    (tmp_path / "cohort.csv").write_text("id,path,model\nyes,good,auto\n")
    assert table.run() == 2
    assert "case yes was begun with model bright, which is now auto" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one source"),
        (["--input", ".", "--csv", "x"], "name one source"),
        (["--input", ".", "--database", "x"], "name one source"),
        (["--input", ".", "--jobs", "0"], "--jobs: 0: at least 1"),
        (["--input", ".", "--patient-id", "1"], "only with --from"),
        (["--csv", "x", "--modality", "CT"], "which a --csv has done already"),
        (["--input", ".", "--device", "cpu,gpu"], "device gpu: write auto"),
        (["--input", ".", "--set", "step"], "parameter step: write name=value"),
        (["--input", ".", "--to", "NOBODY"], "pacs.json: no such file"),
        (["--input", ".", "--scheduler", "tcp://x:1", "--jobs", "2"], "with --scheduler each worker does one case"),
    ],
)
def test_a_wrong_command_line_is_refused_at_once(batch, capsys, arguments, message):
    wrong = batch(*arguments)

    assert wrong.run() == 2

    assert message in capsys.readouterr().err
    assert not wrong.output.exists()


def test_what_every_case_would_fail_with_is_said_at_once(cohort, batch, capsys):
    one = batch("--input", cohort(1))

    assert one.run("--model", "nothing") == 4
    assert "there is no model 'nothing'" in capsys.readouterr().err
    assert one.run("--model", "bright", "--set", "stpe=1") == 2
    assert "model bright has no parameter 'stpe'" in capsys.readouterr().err
    assert not one.output.exists()


def test_a_cohort_without_series_is_no_success(tmp_path, batch, capsys):
    (tmp_path / "empty").mkdir()

    assert batch("--input", tmp_path / "empty").run() == 3

    assert "there is no series to segment" in capsys.readouterr().err
