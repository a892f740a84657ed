"""The panel from its first to its last moment: what it leaves behind, and what an empty application does to it."""

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


def test_every_button_does_what_it_can_in_an_empty_application(slicer_app, bright):
    slicer_app.close_scene()
    slicer_app.slicer.dicomDatabase.closeDatabase()
    bright.ui.seriesTree.clear()
    bright.settle()
    names = [
        name
        for name, widget in vars(bright.ui).items()
        if name not in ASKING and widget.inherits("QAbstractButton") and not widget.inherits("ctkCollapsibleButton")
    ]
    assert {"seriesRefreshButton", "show3dCheck", "retryButton", "unreviewedCheck"} <= set(names)
    for name in names:
        getattr(bright.ui, name).click()
        bright.settle()
    bright.widget.parent.exit()
    bright.widget.parent.enter()
    bright.settle()

    assert bright.rows() == []
    assert not bright.ui.runButton.enabled
