"""A job that does not answer any more."""

import os
import signal
import threading

import factories
import psutil
import pytest
from servers import wait_until

from NativeDLLib.batch import work
from NativeDLLib.batch.manifest import CANCELLED
from NativeDLLib.worker import child


def job(folder):
    for process in psutil.process_iter():
        try:
            if str(folder) in process.cmdline() and "--with-parent" in process.cmdline():
                return process
        except psutil.Error:
            continue
    return None


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no such signal")
def test_a_job_that_has_to_be_killed_counts_as_cancelled_and_not_as_done(tmp_path, registry, monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))
    monkeypatch.setattr(child, "END_S", 0.5)
    factories.ct_series(tmp_path / "series", factories.block((24, 128, 128)))
    task = work.Task("case", str(tmp_path / "out" / "case"), ("--input", str(tmp_path / "series")))
    stop, outcomes = threading.Event(), []
    thread = threading.Thread(target=lambda: outcomes.append(work.perform(task, stop.is_set)))
    thread.start()
    process = wait_until(lambda: job(tmp_path / "out" / "case"), "the job starts")

    os.kill(process.pid, signal.SIGSTOP)
    stop.set()
    thread.join(20)

    assert [outcome.state for outcome in outcomes] == [CANCELLED]
    assert not process.is_running()
