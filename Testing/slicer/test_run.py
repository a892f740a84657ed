"""A run as it is watched: one at a time, of what was chosen, with its progress and its details."""

import factories

from Testing.slicer import panel as panels


def test_two_quick_clicks_start_one_job(bright):
    bright.ui.runButton.click()
    bright.ui.runButton.click()

    assert bright.finish() == "Finished: review the result below."
    assert bright.ui.resultBox.count == 2


def test_what_is_selected_during_a_run_is_not_what_runs(slicer_app, bright, tmp_path):
    other = panels.add(
        slicer_app,
        factories.ct_series(tmp_path / "2", edit=lambda d, _: setattr(d, "SeriesDescription", "other liver")),
    )
    bright.widget.source.listSeries()
    bright.settle()
    bright.start()
    bright.choose_series("other")
    bright.finish()

    volume = bright.widget.review.node.GetNodeReference("referenceImageGeometryRef")
    assert bright.report()["series"]["series_instance_uid"] == slicer_app.series != other
    uids = volume.GetAttribute("DICOM.instanceUIDs").split()
    assert slicer_app.slicer.dicomDatabase.instancesForSeries(slicer_app.series) == uids


def test_a_run_tells_its_stages_its_remaining_time_and_on_demand_its_details(slicer_app, tmp_path):
    panels.phantom(slicer_app, tmp_path)
    panel = panels.Panel(slicer_app)
    panel.choose_series("portal")
    assert panel.ui.logText.isHidden()
    said, shown = [], []
    panel.start()
    assert not panel.ui.progressBar.isHidden()
    while panel.widget.logic.busy:
        slicer_app.process_events()
        said.append(panel.ui.runMessage.text)
        shown.append(panel.ui.progressBar.value)
    panel.settle()
    panel.ui.logCheck.checked = True

    assert any(text.startswith("Segmenting: about ") and text.endswith(" left") for text in said)
    assert max(shown) > 50
    assert panel.ui.progressBar.isHidden()
    assert not panel.ui.logText.isHidden()
    assert "stage: infer" in panel.ui.logText.toPlainText()
    for private in ("Miller", "4711"):
        assert private not in panel.ui.logText.toPlainText()
