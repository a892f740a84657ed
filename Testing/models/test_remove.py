"""What was added or pulled is taken back whole, and nothing else with it."""

import json
import shutil

import factories
import pytest
from tools import nativedl

from NativeDLLib.core.places import kept


@pytest.fixture
def added(tmp_path, monkeypatch):
    """A user's registry with two added models whose weights were copied beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    user, registry = kept("registry.json"), factories.registry(tmp_path / "own")
    content = json.loads(registry.read_text())
    rows = []
    for name in ("first", "second"):
        row = json.loads(json.dumps(content["models"][0])) | {"id": name}
        file = row["weights"]["file"]
        place = f"weights/{name}/{'0' * 16}/{file.rpartition('/')[2]}"
        (user.parent / place).parent.mkdir(parents=True)
        shutil.copy(registry.parent / file, user.parent / place)
        row["weights"]["file"] = place
        rows.append(row)
    user.write_text(json.dumps(content | {"models": rows}))
    return user


def ids(capsys):
    assert nativedl("models", "list", "--json") == 0
    return {row["id"]: row["origin"] for row in json.loads(capsys.readouterr().out)["models"]}


def test_an_added_model_is_taken_back_with_the_weights_that_were_copied_for_it(added, capsys):
    assert ids(capsys)["first"] == "yours"

    assert nativedl("models", "remove", "first") == 0

    assert "first: removed: entry" in capsys.readouterr().out
    assert "first" not in ids(capsys)
    assert ids(capsys)["second"] == "yours"
    assert [folder.name for folder in (added.parent / "weights").iterdir()] == ["second"]
    assert nativedl("models", "show", "second") == 0


def test_a_model_that_another_one_needs_is_kept(added, capsys):
    content = json.loads(added.read_text())
    content["models"][1]["coarse"] = {"model": "first"}
    added.write_text(json.dumps(content))

    assert nativedl("models", "remove", "first") == 2

    assert "is the coarse model of second" in capsys.readouterr().err
    assert set(ids(capsys)) >= {"first", "second"}


def test_a_model_that_is_not_there_is_refused_before_anything_is_read(tmp_path, capsys):
    factories.ct_series(tmp_path / "cohort" / "one")
    batch = ("batch", "--input", tmp_path / "cohort", "--model", "totalsegmentator-3mm", "--output", tmp_path / "out")

    assert nativedl(*batch) == 4
    assert "its weights are to be fetched first" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    absent = ("run", "--input", tmp_path / "gone", "--model", "totalsegmentator-3mm", "--output", tmp_path / "out")
    assert nativedl(*absent) in (3, 4)


def test_a_run_from_a_peer_asks_the_peer_for_nothing_where_the_model_is_not_there(tmp_path, capsys):
    peer = {"name": "DOWN", "ae_title": "DOWN", "host": "127.0.0.1", "port": 9}
    (tmp_path / "pacs.json").write_text(json.dumps({"peers": [peer]}))
    command = ("run", "--from", "DOWN", "--study", "1.2", "--series", "1.2.3", "--pacs", tmp_path / "pacs.json")

    assert nativedl(*command, "--model", "totalsegmentator-3mm", "--output", tmp_path / "out") == 4
    assert "nativedl models fetch totalsegmentator-3mm" in capsys.readouterr().err
