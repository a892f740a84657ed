"""What the panel says, keeps and undoes when something goes wrong on the way from the database to the PACS."""

from pathlib import Path

import factories
import psutil
import pytest
from servers import Orthanc, free_port

from Testing.slicer import panel as panels


def worker_of(panel):
    """Return the process of the job that runs."""
    return psutil.Process(panel.widget.logic.workers.running["run"].processId())


def results():
    folder = Path.home() / ".nativedl" / "results"
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def panel(slicer_app, tmp_path):
    """The panel with the phantom of the database chosen, ready to be segmented by the bundled model."""
    slicer_app.series = panels.phantom(slicer_app, tmp_path)
    panel = panels.Panel(slicer_app)
    panel.choose_series("portal")
    return panel


def start(panel):
    """Press Segment and wait until the network runs."""
    panel.start()
    panel.app.wait_until(lambda: panel.ui.progressBar.value > 5, 60, "progress")


def approve(panel):
    panel.ui.acceptAllButton.click()
    panel.ui.reviewerEdit.text = "Doe^Jane"


def test_a_killed_worker_is_said_and_leaves_nothing(panel):
    start(panel)
    worker_of(panel).kill()

    assert panel.finish().startswith("The process ended unexpectedly: memory may have run out, or it was killed.")
    assert results() == []
    assert panel.ui.runButton.enabled
    assert panel.run() == "Finished: review the result below."


def test_cancel_ends_the_worker_and_leaves_nothing(panel, pictures):
    start(panel)
    pictures(panel, "running")
    worker = worker_of(panel)
    panel.ui.cancelButton.click()

    assert panel.finish(10) == "Cancelled."
    assert not worker.is_running()
    assert results() == []
    assert panel.ui.segmentTable.rowCount == 0


def test_a_worker_that_does_not_listen_to_cancel_is_killed_with_its_children(panel):
    start(panel)
    worker = worker_of(panel)
    worker.suspend()
    panel.ui.cancelButton.click()

    assert panel.finish(10) == "Cancelled."
    assert not worker.is_running()


@pytest.mark.parametrize("killed", [False, True], ids=["by-itself", "by-the-system"])
def test_a_run_that_is_cancelled_before_it_could_listen_says_so_whoever_ended_it(bright, killed):
    bright.start()
    assert bright.ui.runMessage.text == "Starting…"
    assert (bright.ui.progressBar.minimum, bright.ui.progressBar.maximum) == (0, 0)
    worker = worker_of(bright)
    bright.ui.cancelButton.click()
    if killed:
        worker.kill()

    assert bright.finish(20) == "Cancelled."
    assert results() == []
    assert bright.run() == "Finished: review the result below."


def test_a_python_that_cannot_be_started_is_said(slicer_app, bright, tmp_path, monkeypatch):
    broken = tmp_path / "bin" / "PythonSlicer"
    broken.parent.mkdir()
    broken.write_text("#!/nowhere/python\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))

    assert bright.run() == f"{broken} could not be started: it is missing, or this computer does not allow it."
    assert results() == []


def test_weights_that_have_gone_keep_the_model_from_running(slicer_app, tmp_path, monkeypatch, pictures):
    registry = factories.registry(tmp_path / "registry")
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))
    panels.add(slicer_app, factories.ct_series(tmp_path / "series"))
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")
    (registry.parent / "bright.onnx").unlink()

    message = panel.run()
    panel.widget.source.look()
    panel.settle()
    pictures(panel, "model-missing")

    assert "bright.onnx are not there" in message
    assert not panel.ui.runButton.enabled
    assert panel.ui.modelReason.text.startswith("Cannot run yet: model bright: its weights")
    assert results() == []


def test_a_full_disk_is_said_and_leaves_nothing(panel, small_disk, monkeypatch):
    monkeypatch.setenv("NATIVEDL_RESULTS", str(small_disk))

    assert "No space left on device" in panel.run()
    assert list(small_disk.iterdir()) == []


def test_a_pacs_that_is_down_gets_the_result_when_it_is_back(panel, tmp_path, pictures):
    port = free_port()
    orthanc = Orthanc(tmp_path / "orthanc", DicomPort=port)
    orthanc.port = port
    panels.configure_server(orthanc.peer())
    panel.run()
    panel.widget.send.refresh()
    panel.settle()
    approve(panel)

    message = panel.press(panel.ui.sendButton)
    pictures(panel, "pacs-down")

    assert message == "Saved, but not sent: it waits in the outbox."
    assert panel.ui.outboxLabel.text.startswith("1 waiting for ORTHANC")
    assert not panel.ui.retryButton.isHidden()
    database = panel.app.slicer.dicomDatabase
    assert len(database.seriesForStudy(database.studyForSeries(panel.app.series))) == 2
    with orthanc:
        assert panel.press(panel.ui.retryButton) == "All that waited was sent."
        assert len(panels.stored_segmentations(orthanc)) == 1
    assert panel.ui.outboxLabel.text == "Nothing waits in the outbox."


def test_a_scene_that_is_closed_meanwhile_stays_closed_and_the_result_waits(panel):
    start(panel)
    panel.app.close_scene()

    assert panel.finish() == "Finished. The scene was closed meanwhile: choose the result under Review."
    scene = panel.app.slicer.mrmlScene
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    panel.choose_result(1)
    assert [row[0] for row in panel.rows()] == ["Liver"]
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def test_a_scene_that_is_closed_under_review_lets_go_of_the_result(bright):
    bright.run()
    bright.app.close_scene()

    assert bright.rows() == []
    assert bright.ui.sendHint.text == "Choose a result under Review first."
    assert not bright.ui.sendButton.enabled


def test_a_series_that_was_deleted_before_the_run_is_said(bright):
    bright.app.slicer.dicomDatabase.removeSeries(bright.app.series)

    assert "does not exist" in bright.run()
    assert results() == []


def test_a_series_that_was_deleted_before_approval_is_said_and_the_result_is_kept(bright):
    bright.run()
    approve(bright)
    bright.app.slicer.dicomDatabase.removeSeries(bright.app.series)

    assert "does not exist" in bright.press(bright.ui.saveButton)
    (folder,) = results()
    assert (folder / "automatic" / "segmentation.dcm").is_file()
    assert not (folder / "approved").exists()


def test_a_module_that_is_reloaded_while_it_runs_ends_its_worker(panel):
    start(panel)
    worker = worker_of(panel)
    panel.widget = panel.app.reload("NativeDL")
    panel.settle()

    assert not worker.is_running()
    assert results() == []
    panel.choose_series("portal")
    assert panel.run() == "Finished: review the result below."


def test_a_result_waits_for_a_module_that_was_reloaded(bright):
    bright.run()
    bright.widget = bright.app.reload("NativeDL")
    bright.settle()
    bright.choose_result(1)

    assert [row[2] for row in bright.rows()] == ["To review"]


def test_a_segmentation_that_was_deleted_is_let_go(bright):
    bright.run()
    bright.app.slicer.mrmlScene.RemoveNode(bright.widget.review.node)
    bright.app.process_events()

    assert bright.rows() == []
    assert not bright.ui.sendButton.enabled
