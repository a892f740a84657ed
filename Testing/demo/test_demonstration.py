"""``nativedl demo``: from the embedded PACS and back, in a folder of its own."""

import json

import pytest
from tools import nativedl


@pytest.mark.parametrize("model", ["auto", pytest.param("vertebra-ct-demo", marks=pytest.mark.campaign)])
def test_the_demonstration_goes_from_the_pacs_and_back(tmp_path, model, capsys):
    folder = tmp_path / "demo"

    assert nativedl("demo", "--output", folder, "--model", model) == 0

    printed = capsys.readouterr().out
    assert "60 of 60 instances stored on the embedded PACS" in printed
    assert "the study on the PACS now holds 1 SEG series" in printed
    report = json.loads((folder / "result" / "report.json").read_text())
    assert report["model"]["id"] == ("liver-ct-demo" if model == "auto" else model)
    assert report["outcome"] == "segmented"
    assert len(list((folder / "pacs").glob("*.dcm"))) == 61
    assert not list((folder / "outbox").glob("**/*.dcm"))


def test_the_demonstration_does_not_touch_a_folder_in_use(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")

    assert nativedl("demo", "--output", tmp_path) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
