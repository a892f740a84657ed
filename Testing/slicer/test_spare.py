"""The process that waits for the next segmentation: one at most, used where it fits, gone when the panel is left."""

import psutil
import pytest

from NativeDLLib.worker.processes import SPARE
from Testing.slicer import panel as panels

pytestmark = pytest.mark.usefixtures("spare")
FINISHED = "Finished: review the result below."


def spares():
    """Return the processes that were started ahead, whether they wait or run."""
    return [p for p in psutil.Process().children() if SPARE in words(p)]


def words(process):
    """Return the command line of a process, which may have ended this moment."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def worker_of(panel):
    return panel.widget.logic.workers.running["run"].processId()


def test_it_becomes_the_job_and_another_one_takes_its_place(bright):
    bright.widget.enter()  # pytest has changed the environment between the fixture and the test
    (first,) = spares()

    bright.start()
    assert worker_of(bright) == first.pid
    assert spares() == [first]
    assert bright.finish() == FINISHED
    (second,) = spares()
    assert second != first
    assert bright.run() == FINISHED


def test_one_that_has_died_is_done_without(bright):
    bright.widget.enter()
    (spare,) = spares()
    spare.kill()

    assert bright.run() == FINISHED


def test_one_that_was_started_in_another_environment_is_done_without(bright, monkeypatch):
    bright.widget.enter()
    (spare,) = spares()
    monkeypatch.setenv("NATIVEDL_TOKEN", "another")

    bright.start()
    assert worker_of(bright) != spare.pid
    assert not spare.is_running()
    assert bright.finish() == FINISHED


def test_it_is_there_for_the_model_that_is_chosen(slicer_app, bright):
    bright.choose_model("liver-ct-demo")
    (spare,) = spares()
    assert spare.cmdline()[-1] == "liver-ct-demo"

    bright.choose_model("bright")
    assert not spare.is_running()
    (spare,) = spares()
    assert spare.cmdline()[-1] == "bright"


def test_it_ends_when_the_panel_is_left_and_is_there_again_when_it_is_entered(bright):
    bright.widget.parent.exit()
    assert spares() == []
    bright.ui.reviewerEdit.text = "Doe^Jane"
    assert spares() == []

    bright.widget.parent.enter()
    bright.settle()
    assert len(spares()) == 1


@pytest.mark.parametrize("end", ["reload", "unload"])
def test_it_ends_with_the_module(slicer_app, bright, end):
    (spare,) = spares()

    getattr(slicer_app, end)("NativeDL")

    assert not spare.is_running()


def test_there_is_none_where_none_is_wanted(slicer_app, bright, monkeypatch):
    slicer_app.unload("NativeDL")
    monkeypatch.setenv("NATIVEDL_SPARE", "0")
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")

    assert spares() == []
    assert panel.run() == FINISHED


def test_it_ends_before_packages_are_installed(bright):
    (spare,) = spares()

    bright.widget.install._onInstall()

    assert not spare.is_running()
