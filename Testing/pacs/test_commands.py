"""The commands of the PACS as a user types them, in this process, with a real PACS behind them."""

import json

import pytest
from pydicom import dcmread
from servers import LOOPBACK, free_port

from NativeDLLib.cli.main import main
from NativeDLLib.pacs.outbox import Outbox
from NativeDLLib.pacs.store import store_each


@pytest.fixture(scope="module")
def stored(orthanc, make_series, tmp_path_factory):
    files = make_series(tmp_path_factory.mktemp("stored"), 3, PatientName="Roe^Richard")
    list(store_each(orthanc.peer(), files))
    return dcmread(files[0])


@pytest.fixture
def pacs_file(orthanc, tmp_path):
    peers = [
        {"name": "ORTHANC", "ae_title": "ORTHANC", "host": LOOPBACK, "port": orthanc.port},
        {"name": "DOWN", "ae_title": "DOWN", "host": LOOPBACK, "port": free_port()},
    ]
    file = tmp_path / "pacs.json"
    file.write_text(json.dumps({"peers": peers}))
    return str(file)


@pytest.fixture
def run(pacs_file, capsys):
    """Run a command; return exit code, standard output and standard error."""

    def run(*arguments):
        code = main([*map(str, arguments), "--pacs", pacs_file])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def events(out):
    return [json.loads(line) for line in out.splitlines()]


def test_echo_says_how_long_it_took(run):
    code, out, _ = run("echo", "ORTHANC")
    assert code == 0
    assert out.startswith("ORTHANC (ORTHANC at 127.0.0.1:")


def test_a_pacs_that_is_down_ends_with_code_5_and_one_line(run):
    code, out, err = run("echo", "DOWN")
    assert (code, out) == (5, "")
    assert err.count("\n") == 1
    assert "cannot be reached" in err


def test_an_unknown_peer_ends_with_code_2(run):
    code, _, err = run("echo", "NOBODY")
    assert code == 2
    assert "known are: ORTHANC, DOWN" in err


def test_find_prints_a_table(run, stored):
    code, out, _ = run(
        "find", "ORTHANC", "--patient-id", stored.PatientID, "--modality", "CT", "--study-date", "19000101-"
    )
    header, row = out.splitlines()
    assert code == 0
    assert header.split()[:2] == ["StudyDate", "PatientID"]
    assert stored.StudyInstanceUID in row


@pytest.mark.parametrize("level", ["series", "patient"])
def test_find_searches_the_other_levels(run, stored, level):
    keys = {"series": ["--study", stored.StudyInstanceUID, "--modality", "CT"], "patient": ["--patient-name", "Roe*"]}
    code, out, _ = run("find", "ORTHANC", "--level", level, *keys[level])
    assert code == 0
    assert (stored.SeriesInstanceUID if level == "series" else "Roe^Richard") in out


def test_find_prints_dicom_json(run, stored):
    _, out, _ = run("find", "ORTHANC", "--study", stored.StudyInstanceUID, "--json")
    assert [match["0020000D"]["Value"] for match in json.loads(out)["matches"]] == [[stored.StudyInstanceUID]]


def test_find_that_finds_nothing_says_so(run):
    assert run("find", "ORTHANC", "--study", "1.2.3")[:2] == (0, "nothing\n")


def test_with_events_there_is_nothing_but_events_on_standard_output(run, stored, tmp_path):
    study = ["--study", stored.StudyInstanceUID]
    _, out, _ = run("find", "ORTHANC", *study, "--events")
    (result,) = events(out)
    assert result["matches"][0]["0020000D"]["Value"] == [stored.StudyInstanceUID]
    _, out, _ = run("get", "ORTHANC", *study, "--output", tmp_path / "got", "--events")
    stage, *progress, result = events(out)
    assert (stage["stage"], {event["stage"] for event in progress}) == ("retrieve", {"retrieve"})
    assert len(result["files"]) == 3
    _, out, _ = run("send", "ORTHANC", tmp_path / "got", "--events")
    assert [delivery["ok"] for delivery in events(out)[-1]["deliveries"]] == [True] * 3
    assert events(run("outbox", "list", "--events")[1]) == [{"event": "result", "outbox": []}]
    assert events(run("echo", "DOWN", "--events")[1])[0]["code"] == 5


def test_get_writes_the_series(run, stored, tmp_path):
    uids = ["--study", stored.StudyInstanceUID, "--series", stored.SeriesInstanceUID]
    code, out, _ = run("get", "ORTHANC", *uids, "--output", tmp_path / "got")
    assert (code, out) == (0, f"3 files in {tmp_path / 'got'}\n")
    assert len(list((tmp_path / "got").iterdir())) == 3


def test_send_delivers_files_and_folders(run, orthanc, make_series, tmp_path):
    files = make_series(tmp_path / "a" / "b", 2) + make_series(tmp_path / "c", 1)
    (tmp_path / "a" / "notes.txt").write_text("no DICOM")
    code, out, _ = run("send", "ORTHANC", tmp_path / "a", files[2])
    assert code == 0
    assert out.count("success") == 3
    assert {dcmread(file).SOPInstanceUID for file in files} <= set(orthanc.instances())
    assert Outbox().entries() == []


@pytest.mark.parametrize(("name", "words"), [("missing", "no such file or folder"), ("empty", "has no DICOM file")])
def test_send_without_an_object_ends_with_code_3(run, tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    code, _, err = run("send", "ORTHANC", tmp_path / name)
    assert code == 3
    assert words in err


def test_send_to_a_pacs_that_is_down_keeps_the_object_and_ends_with_code_5(run, make_series, tmp_path):
    files = make_series(tmp_path / "series", 2)
    code, _, err = run("send", "DOWN", *files)
    assert code == 5
    assert "2 object(s) stay in the outbox: DOWN (DOWN at 127.0.0.1:" in err
    assert "nativedl outbox send" in err
    assert len(Outbox().entries()) == 2


def test_the_outbox_is_listed_sent_and_dropped(run, make_series, tmp_path):
    run("send", "DOWN", *make_series(tmp_path / "series", 2))
    first, _ = Outbox().entries()
    code, out, _ = run("outbox", "list")
    assert code == 0
    assert out.splitlines()[0].startswith("id  peer  state")
    assert first.sop_instance_uid in out
    assert run("outbox", "list", "--peer", "ORTHANC")[1] == "nothing\n"
    assert run("outbox", "send", "--due")[:2] == (0, "nothing\n")
    code, _, err = run("outbox", "send")
    assert code == 5
    assert "2 object(s) stay" in err
    assert run("outbox", "send", first.id)[0] == 5
    assert Outbox().entries()[1].attempts == 2
    assert run("outbox", "drop")[0] == 2
    assert run("outbox", "drop", "999")[0] == 2
    assert run("outbox", "drop", first.id)[:2] == (0, "1 dropped\n")
    assert run("outbox", "drop", "--all")[:2] == (0, "1 dropped\n")
    assert Outbox().entries() == []


def test_what_waits_goes_along_when_its_peer_is_sent_to_again(run, pacs_file, orthanc, make_series, tmp_path):
    waiting = make_series(tmp_path / "waiting", 1)
    Outbox().add(waiting, "ORTHANC")
    assert run("send", "ORTHANC", *make_series(tmp_path / "new", 1))[0] == 0
    assert Outbox().entries() == []
    assert dcmread(waiting[0]).SOPInstanceUID in orthanc.instances()


def test_text_of_a_pacs_cannot_steer_the_terminal(run, orthanc, make_series, tmp_path, progress):
    files = make_series(tmp_path / "series", 1, StudyDescription="a\x1b[2Jb")
    list(store_each(orthanc.peer(), files))
    _, out, _ = run("find", "ORTHANC", "--study", dcmread(files[0]).StudyInstanceUID)
    assert "\x1b" not in out
    assert "a\\x1b[2Jb" in out
