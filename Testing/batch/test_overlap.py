"""The next series is read, and the last result written, while a network runs; networks run one after the other."""

import json
import threading

import pytest
from servers import wait_until

from NativeDLLib.batch.cohort import Wanted, from_folders
from NativeDLLib.batch.run import Settings, run_batch
from NativeDLLib.core.locking import take_turn
from NativeDLLib.core.progress import Progress
from NativeDLLib.worker import child
from NativeDLLib.worker.processes import EventReader


@pytest.fixture
def turn(tmp_path):
    """The turn of a batch's only job, to be taken from it."""
    return take_turn([tmp_path / "out" / ".turns" / "0"], Progress())


def stages(batch):
    """Return the names of the stages of each result."""
    reports = [json.loads(path.read_text()) for path in batch.output.glob("*/report.json")]
    return [[stage["name"] for stage in report["stages"]] for report in reports]


@pytest.fixture
def readers(monkeypatch):
    """What follows the jobs of a batch in this process."""
    made = []

    class Noted(EventReader):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(child, "EventReader", Noted)
    return made


@pytest.fixture
def start(tmp_path, registry, cohort, monkeypatch):
    """Start a batch of so many series in a thread, to be cancelled by its progress."""
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))

    def begin(count):
        progress, reports = Progress(), []
        found = from_folders([cohort(count)], Wanted(), progress)
        settings = Settings(tmp_path / "out", ("--model", "auto"), options={}, overlap=True)
        thread = threading.Thread(target=lambda: reports.append(run_batch(found, settings, progress)))
        thread.start()
        return progress, lambda: (thread.join(120), reports[0])[1]

    return begin


def wait_for_waiting(readers, count):
    wait_until(lambda: [reader.stage for reader in readers] == ["wait"] * count, f"{count} jobs wait")


def test_two_series_are_read_at_a_time_and_networks_run_one_after_the_other(start, batch, turn, readers):
    with turn:
        _, finish = start(3)
        wait_for_waiting(readers, 2)
        assert batch().count("running") == 2
        assert batch().count("done") == 0

    assert finish()["done"] == 3
    order = ["scan", "read", "wait", "load", "preprocess", "infer", "restore", "postprocess", "write"]
    assert stages(batch()) == [order] * 3


def test_jobs_that_wait_for_their_turn_are_cancelled(start, batch, turn, readers):
    with turn:
        progress, finish = start(2)
        wait_for_waiting(readers, 2)
        progress.cancel()

        assert finish()["cancelled"]
        assert not batch().jobs()
    assert batch().count("running") == 0


def test_without_overlap_there_is_one_at_a_time_and_nothing_to_wait_for(cohort, batch):
    two = batch("--input", cohort(2), "--no-overlap")

    assert two.run() == 0

    assert [line["state"] for line in two.lines()][2:] == ["running", "done"] * 2
    assert all("wait" not in names for names in stages(two))
