"""Rules for series that arrive: off until switched on, one at a time, and nothing but images."""

import json
from pathlib import Path

import factories

from Testing.slicer import panel as panels

RULE = {"name": "bright ones", "model": "bright", "when": {"Modality": "CT", "SeriesDescription": "*bright*"}}


def rules(text):
    file = Path.home() / ".nativedl" / "watch.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def open_panel(app, tmp_path, monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path / "registry")))
    panel = panels.Panel(app)
    panel.widget.watch._timer.setInterval(100)
    return panel


def arrive(app, folder, description):
    def edit(dataset, _):
        dataset.SeriesDescription = description

    return panels.add(app, factories.ct_series(folder, edit=edit))


def finish(panel):
    """Wait until nothing that arrived is left to be looked at or run."""
    idle = lambda: not panel.widget.watch._timer.active and not panel.widget.logic.busy  # noqa: E731
    panel.app.wait_until(idle, 120, "the rules")
    panel.settle()


def test_series_that_match_run_one_at_a_time_and_wait_for_review(slicer_app, tmp_path, monkeypatch):
    file = rules(json.dumps({"enabled": False, "rules": [RULE]}))
    panel = open_panel(slicer_app, tmp_path, monkeypatch)
    assert not panel.ui.watchCheck.checked
    arrive(slicer_app, tmp_path / "0", "bright, too early")
    finish(panel)
    assert panel.ui.resultBox.count == 1

    panel.ui.watchCheck.click()
    assert json.loads(file.read_text())["enabled"] is True
    uids = {arrive(slicer_app, tmp_path / name, f"bright {name}") for name in "12"}
    arrive(slicer_app, tmp_path / "3", "dark")
    slicer_app.wait_until(lambda: panel.widget.logic.busy, 20, "the first job")
    slicer_app.wait_until(lambda: panel.ui.watchLabel.text == "1 series wait.", 20, "the second to wait")
    finish(panel)
    assert panel.ui.runMessage.text == "A rule has segmented a new series: it waits under Review."
    assert panel.ui.resultBox.count == 3
    assert {job[1]["series"] for job in panel.widget.review._jobs} == uids
    assert all("to review" in panel.ui.resultBox.itemText(index) for index in (1, 2))

    panel.choose_result(1)
    panel.accept_all()
    assert panel.press(panel.ui.saveButton) == "Saved in Slicer's DICOM database."
    assert slicer_app.slicer.dicomDatabase.filesForSeries(panel.approved().SeriesInstanceUID)
    finish(panel)
    assert panel.ui.resultBox.count == 3

    panel.ui.watchCheck.click()
    assert json.loads(file.read_text())["enabled"] is False


def test_a_series_that_is_deleted_before_it_is_complete_is_forgotten(slicer_app, tmp_path, monkeypatch):
    rules(json.dumps({"enabled": True, "rules": [RULE]}))
    panel = open_panel(slicer_app, tmp_path, monkeypatch)
    slicer_app.slicer.dicomDatabase.removeSeries(arrive(slicer_app, tmp_path / "1", "bright"))
    finish(panel)

    assert panel.ui.watchCheck.checked
    assert panel.ui.resultBox.count == 1


def test_rules_that_cannot_be_read_are_said_and_nothing_runs(slicer_app, tmp_path, monkeypatch):
    rules('{"enabled": true, "rules": [{"name": "x", "model": "bright", "when": {"Modalty": "CT"}}]}')
    panel = open_panel(slicer_app, tmp_path, monkeypatch)
    assert "'Modalty' is no DICOM keyword" in panel.ui.watchLabel.text
    assert not panel.ui.watchCheck.checked
    arrive(slicer_app, tmp_path / "1", "bright")
    finish(panel)
    assert panel.ui.resultBox.count == 1


def test_the_example_is_not_switched_on_before_it_was_edited(slicer_app, tmp_path, monkeypatch):
    panel = open_panel(slicer_app, tmp_path, monkeypatch)
    file = Path.home() / ".nativedl" / "watch.json"
    slicer_app.popups.expect("holds only an example yet; edit its rules first", None)
    panel.ui.watchCheck.click()

    assert not panel.ui.watchCheck.checked
    panel.ui.watchRulesButton.click()
    assert slicer_app.popups.opened == [file.as_uri()]
    assert json.loads(file.read_text())["enabled"] is False
