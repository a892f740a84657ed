"""Nothing waits for a user who is not there."""

import pytest

from Testing.slicer.standin.popups import UnexpectedPopupError


def test_a_popup_is_answered_as_announced(slicer_app):
    import qt

    slicer_app.popups.expect("Delete the result?", qt.QMessageBox.No)
    assert slicer_app.slicer.util.confirmYesNoDisplay("Delete the result?") is False
    assert slicer_app.popups.shown[0].text == "Delete the result?"


def test_a_popup_that_nobody_announced_fails(slicer_app):
    with pytest.raises(UnexpectedPopupError, match="Surprise"):
        slicer_app.slicer.util.errorDisplay("Surprise")
    assert slicer_app.popups.unexpected.pop().text == "Surprise"


def test_a_file_dialog_is_answered_too(slicer_app):
    import qt

    slicer_app.popups.expect("Choose a folder", "/data")
    assert qt.QFileDialog.getExistingDirectory(None, "Choose a folder", "/") == "/data"
    slicer_app.popups.expect("Choose a file", ("/data/a.dcm", "*.dcm"))
    with pytest.raises(TypeError, match="returns a str in PythonQt"):
        qt.QFileDialog.getOpenFileName(None, "Choose a file", "/", "*.dcm")


def test_an_error_in_a_guarded_block_is_shown_with_its_message(slicer_app):
    import qt

    slicer_app.popups.expect("Failed to segment.\n\nno disk", qt.QMessageBox.Ok)
    with pytest.raises(OSError, match="no disk"), slicer_app.slicer.util.tryWithErrorDisplay("Failed to segment."):
        raise OSError("no disk")
    assert "Traceback" in slicer_app.popups.shown[0].details


def test_a_dialog_of_the_modules_own_can_be_filled_in(slicer_app):
    import qt

    dialog = qt.QDialog()
    edit = qt.QLineEdit(dialog)
    qt.QLabel("Which PACS?", dialog)

    def fill(shown):
        edit.text = "ORTHANC"
        return qt.QDialog.Accepted

    slicer_app.popups.expect("Which PACS?", fill)
    assert dialog.exec_() == qt.QDialog.Accepted
    assert edit.text == "ORTHANC"


def test_in_testing_mode_slicer_shows_nothing(slicer_app):
    slicer_app.slicer.app.commandOptions().testingEnabled = True
    try:
        slicer_app.slicer.util.errorDisplay("Not shown")
    finally:
        slicer_app.slicer.app.commandOptions().testingEnabled = False
    assert slicer_app.popups.shown == []


def test_what_would_open_in_a_browser_is_recorded(slicer_app):
    import qt

    assert qt.QDesktopServices.openUrl(qt.QUrl("https://example.org/help"))
    assert slicer_app.popups.opened == ["https://example.org/help"]
