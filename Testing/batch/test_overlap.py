"""The next series is read, and the last result written, while a network runs; networks run one after the other."""

import json
import os
import signal

import psutil
import pytest
from servers import wait_until

from NativeDLLib.core.locking import take_turn
from NativeDLLib.core.progress import Progress

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")


@pytest.fixture
def turn(tmp_path):
    """The turn of a batch's only job, to be taken from it."""
    (tmp_path / "out" / ".turns").mkdir(parents=True)
    return take_turn([tmp_path / "out" / ".turns" / "0"], Progress())


def stages(batch):
    """Return the names of the stages of each result."""
    reports = [json.loads(path.read_text()) for path in batch.output.glob("*/report.json")]
    return [[stage["name"] for stage in report["stages"]] for report in reports]


def wait_for_waiting(batch, count):
    """Wait until so many jobs run and all of them have come to where they wait for their turn."""

    def are_there():
        try:
            opened = [[file.path for file in job.open_files()] for job in batch.jobs()]
        except psutil.Error:
            return False
        return len(opened) == count and all(str(batch.output / ".turns" / "0") in paths for paths in opened)

    wait_until(are_there, f"{count} jobs wait", seconds=60)


def test_two_series_are_read_at_a_time_and_networks_run_one_after_the_other(cohort, batch, helpers, turn):
    finish, _ = helpers
    three = batch("--input", cohort(3))
    with turn:
        process = three.start()
        wait_for_waiting(three, 2)
        assert three.count("running") == 2
        assert three.count("done") == 0

    assert finish(process)[0] == 0
    order = ["scan", "read", "wait", "load", "preprocess", "infer", "restore", "postprocess", "write"]
    assert stages(three) == [order] * 3


def test_jobs_that_wait_for_their_turn_are_cancelled(cohort, batch, helpers, turn):
    finish, _ = helpers
    two = batch("--input", cohort(2))
    with turn:
        process = two.start()
        wait_for_waiting(two, 2)
        process.send_signal(signal.SIGINT)

        assert finish(process)[0] == 6
        assert not two.jobs()
    assert two.count("running") == 0
    assert two.run() == 0


def test_without_overlap_there_is_one_at_a_time_and_nothing_to_wait_for(cohort, batch):
    two = batch("--input", cohort(2), "--no-overlap")

    assert two.run() == 0

    assert [line["state"] for line in two.lines()][2:] == ["running", "done"] * 2
    assert all("wait" not in names for names in stages(two))
