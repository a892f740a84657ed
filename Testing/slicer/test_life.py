"""The panel from its first to its last moment: what it leaves behind, and what an empty application does to it."""

import factories
import psutil

from Testing.slicer import panel as panels

# These ask something, or open something.
ASKING = ("installButton", "loadConfigButton", "saveConfigButton", "watchCheck", "watchRulesButton")


def test_a_module_that_is_unloaded_leaves_no_worker_and_no_observer_and_keeps_its_settings(
    slicer_app, bright, tmp_path
):
    bright.run()
    bright.accept_all()
    bright.press(bright.ui.saveButton)
    bright.start()
    widget = bright.widget
    slicer_app.unload("NativeDL")

    assert [p for p in psutil.Process().children(recursive=True) if "NativeDLLib" in " ".join(p.cmdline())] == []
    assert widget.Observations == []
    slicer_app.close_scene()
    panel = panels.Panel(slicer_app)
    assert panel.ui.reviewerEdit.text == "Doe^Jane"
    assert panel.ui.resultBox.count == 2


def test_as_the_start_up_module_the_panel_is_set_up_before_there_is_a_database(starting_app, tmp_path, monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path / "registry")))
    assert not hasattr(starting_app.slicer, "dicomDatabase")
    panel = panels.Panel(starting_app)
    starting_app.slicer.app.startupCompleted.emit()
    series = panels.add(starting_app, factories.ct_series(tmp_path / "series"))

    assert panel.widget.watch._arrivals._counts == {series: -1}
    panel.choose_series("bright")
    assert panel.run() == "Finished: review the result below."


def test_without_a_database_at_all_the_panel_says_so_and_its_buttons_do_what_they_can(starting_app, monkeypatch):
    module = starting_app.slicer.modules.DICOMInstance
    monkeypatch.setattr(module, "performPostModuleDiscoveryTasks", lambda: None)
    panel = panels.Panel(starting_app)
    panel.press_all(ASKING)

    assert panel.ui.seriesCount.text.startswith("Slicer's DICOM database is not open")
    starting_app.unload("NativeDL")


def test_every_button_does_what_it_can_in_an_empty_application(slicer_app, bright):
    slicer_app.close_scene()
    slicer_app.slicer.dicomDatabase.closeDatabase()
    bright.ui.seriesTree.clear()
    bright.settle()
    assert {"seriesRefreshButton", "show3dCheck", "retryButton", "unreviewedCheck"} <= bright.press_all(ASKING)
    bright.widget.parent.exit()
    bright.widget.parent.enter()
    bright.settle()

    assert bright.rows() == []
    assert not bright.ui.runButton.enabled
