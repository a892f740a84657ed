"""What the doctor finds, and that each problem comes with what to do."""

import json
import os

import factories
import pytest
from servers import LOOPBACK, free_port
from tools import nativedl

from NativeDLLib.core.places import kept


@pytest.fixture
def examine(tmp_path, monkeypatch, capsys):
    """Run it in a home of its own; its exit code and its findings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    kept("results").parent.mkdir(parents=True)

    def look(*arguments, registry=None):
        code = nativedl("doctor", "--json", *arguments, registry=registry)
        report = json.loads(capsys.readouterr().out)
        problems = [finding for finding in report["findings"] if finding["state"] == "problem"]
        assert report["problems"] == len(problems)
        assert all(finding["remedy"] for finding in report["findings"] if finding["state"] != "ok")
        return code, report["findings"], problems

    return look


def test_where_nothing_is_wrong_it_says_what_is_there(examine, registry):
    code, findings, problems = examine(registry=registry)

    assert (code, problems) == (0, [])
    told = {(finding["name"], finding["state"]): finding["about"] for finding in findings}
    assert "Python" in told["NativeDL", "ok"]
    assert "cpu" in told["device", "ok"]
    assert told["outbox", "ok"] == "nothing waits"
    assert {finding["name"] for finding in findings} >= {"registry", "model", "peers", "folder"}


def test_a_model_that_is_still_to_be_fetched_is_no_problem_but_a_hint(examine):
    _, findings, problems = examine()

    note = next(f for f in findings if f["state"] == "note" and "totalsegmentator-3mm" in f["about"])
    assert "nativedl models fetch totalsegmentator-3mm" in note["remedy"]
    assert not problems


def test_a_peer_that_does_not_answer_is_a_problem(examine, tmp_path):
    peer = {"name": "DOWN", "ae_title": "DOWN", "host": LOOPBACK, "port": free_port()}
    (tmp_path / "pacs.json").write_text(json.dumps({"peers": [peer]}))

    code, _, problems = examine("--pacs", tmp_path / "pacs.json")

    assert code == 1
    assert [finding["name"] for finding in problems] == ["peer"]
    assert "cannot be reached" in problems[0]["about"]


def test_a_damaged_registry_and_lost_weights_are_problems_and_the_rest_is_looked_at(examine, tmp_path):
    damaged, bare = tmp_path / "damaged.json", factories.registry(tmp_path / "bare")
    damaged.write_text("{")
    (tmp_path / "bare" / "bright.onnx").unlink()

    code, findings, problems = examine(registry=f"{damaged}{os.pathsep}{bare}")

    assert code == 1
    assert [finding["name"] for finding in problems] == ["registry", "model"]
    assert findings[-1]["name"] == "folder"


def test_a_damaged_file_of_peers_is_named_and_a_person_reads_lines(examine, tmp_path, capsys):
    (tmp_path / "pacs.json").write_text("[")

    assert nativedl("doctor", "--pacs", tmp_path / "pacs.json") == 1

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("problem") and "pacs.json" in line for line in lines)
    assert lines[-1] == "1 problem(s)"
