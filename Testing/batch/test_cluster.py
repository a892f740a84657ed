"""Batches on a real Dask scheduler with real worker processes, which die as they do in life."""

import json
import os
import signal
import sys
import threading
from collections import Counter

import pytest
from conftest import ROOT
from hostile import HostileFolder
from servers import LOOPBACK, _Server, wait_until

pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


class Scheduler(_Server):
    """A Dask scheduler."""

    def _command(self):
        options = ["--host", LOOPBACK, "--port", str(self.port), "--no-dashboard"]
        # -P: the scheduler needs nothing of this program, and here it cannot have it by chance.
        return [sys.executable, "-P", "-m", "dask", "scheduler", *options]

    @property
    def address(self):
        return f"tcp://{LOOPBACK}:{self.port}"


class Worker(_Server):
    """A worker process; it has two threads, which must not mean two cases at a time."""

    def __init__(self, folder, scheduler, python_path=ROOT):
        super().__init__(folder)
        self._scheduler, self._python_path = scheduler, python_path

    def _command(self):
        options = ["--listen-address", self.address, "--nthreads", "2", "--no-nanny", "--no-dashboard"]
        command = [sys.executable, "-P", "-m", "dask", "worker", self._scheduler.address, *options]
        return ["/usr/bin/env", f"--chdir={self.folder}", f"PYTHONPATH={self._python_path}", *command]

    @property
    def address(self):
        return f"tcp://{LOOPBACK}:{self.port}"


@pytest.fixture
def cluster(tmp_path, registry, monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))
    with Scheduler(tmp_path / "scheduler") as scheduler:
        workers = [Worker(tmp_path / f"worker{number}", scheduler) for number in range(2)]
        try:
            for worker in workers:
                worker.start()
            yield scheduler, workers
        finally:
            for worker in workers:
                worker.kill()


def times(batch, state):
    return Counter(line["case"] for line in batch.lines() if line["state"] == state)


def test_a_worker_that_dies_costs_its_case_another_attempt_and_nothing_more(cohort, batch, cluster, helpers):
    finish, _ = helpers
    scheduler, (first, second) = cluster
    eight = batch("--input", cohort(8, damaged=True, unsuitable=True), "--scheduler", scheduler.address)
    process = eight.start()
    eight.wait_for("done", 2)
    running = wait_until(lambda: [c for c, line in last(eight).items() if is_on(line, first)], "the worker has a case")
    first.kill()

    code, printed = finish(process)

    assert code == 7, printed
    assert "6 done, 2 failed, 0 left of 8 cases" in printed
    assert len(eight.results()) == 6
    assert set(times(eight, "done").values()) == {1}
    assert set(times(eight, "failed").values()) == {1}
    twice = [case for case, count in times(eight, "running").items() if count > 1]
    assert twice == running
    assert {line["where"] for line in eight.lines() if line["state"] == "done"} == {first.address, second.address}
    assert most_at_a_time(eight, second.address) == 1


def last(batch):
    return {line["case"]: line for line in batch.lines()}


def is_on(line, worker):
    return line["state"] == "running" and line["where"] == worker.address


def most_at_a_time(batch, address):
    now = most = 0
    for line in batch.lines():
        if line.get("where") == address:
            now += 1 if line["state"] == "running" else -1
            most = max(most, now)
    return most


def test_a_batch_goes_on_after_its_own_death_and_the_schedulers(cohort, batch, cluster, helpers):
    finish, _ = helpers
    scheduler, _ = cluster
    folder = cohort(5)
    five = batch("--input", folder, "--scheduler", scheduler.address)
    process = five.start()
    wait_until(five.jobs, "a job runs")
    process.kill()
    process.communicate()

    process = five.start()
    five.wait_for("done", 2)
    scheduler.kill()
    code, printed = finish(process)
    assert code == 1
    errors = [line for line in printed.splitlines() if "error" in line]
    gone = f"{scheduler.address}: the Dask scheduler is gone; start the same command again when it is back"
    assert errors == [f"nativedl: error: {gone}"]
    assert "Traceback" not in printed
    before = five.results()

    assert batch("--input", folder, "--jobs", 2).run() == 0
    after = five.results()
    assert len(after) == 5
    assert before.items() <= after.items()
    assert set(times(five, "done").values()) == {1}


def test_ctrl_c_ends_the_jobs_of_the_workers(cohort, batch, cluster, helpers):
    finish, _ = helpers
    scheduler, _ = cluster
    four = batch("--input", cohort(4), "--scheduler", scheduler.address)
    process = four.start()
    wait_until(lambda: len(four.jobs()) == 2, "two jobs run")

    process.send_signal(signal.SIGINT)
    code, printed = finish(process)

    assert code == 6, printed
    assert not four.jobs()
    assert four.count("cancelled") == 2
    assert four.run() == 0
    assert len(four.results()) == 4


def test_a_case_that_workers_die_over_is_given_up(cohort, batch, cluster, monkeypatch, capsys):
    monkeypatch.setattr("NativeDLLib.batch.cluster._ATTEMPTS", 1)
    scheduler, (first, second) = cluster
    second.kill()
    one = batch("--input", cohort(1), "--scheduler", scheduler.address)
    killer = threading.Thread(target=lambda: (wait_until(one.jobs, "the job runs"), first.kill()))
    killer.start()

    assert one.run() == 7

    killer.join()
    assert "the worker died over this case 1 time(s)" in capsys.readouterr().out
    one.wait_for_no_jobs()
    assert not one.results()


def test_workers_without_this_program_are_told_of(tmp_path, cohort, batch, capsys):
    broken = tmp_path / "broken" / "NativeDLLib"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'NativeDLLib'\")")
    scheduler = Scheduler(tmp_path / "scheduler")
    with scheduler, Worker(tmp_path / "worker", scheduler, broken.parent):
        code = batch("--input", cohort(1), "--scheduler", scheduler.address).run()

    assert code == 2
    assert "the Dask workers lack this program or a part of it; install it there" in capsys.readouterr().err


def test_jobs_of_a_worker_import_nothing_from_the_folder_that_it_was_started_in(tmp_path, cohort, batch, registry):
    hostile, scheduler = HostileFolder(tmp_path / "worker"), Scheduler(tmp_path / "scheduler")
    with scheduler, Worker(hostile.path, scheduler):
        code = batch("--input", cohort(1), "--scheduler", scheduler.address).run()

    assert code == 0
    assert not hostile.ran


def test_a_scheduler_that_does_not_answer_is_named(cohort, batch, monkeypatch, capsys):
    monkeypatch.setattr("NativeDLLib.batch.cluster._CONNECT_S", 1)

    assert batch("--input", cohort(1), "--scheduler", f"tcp://{LOOPBACK}:9").run() == 2

    assert f"tcp://{LOOPBACK}:9: no Dask scheduler answers there" in capsys.readouterr().err


def test_without_dask_one_line_says_what_to_install(cohort, batch, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    one = batch("--input", cohort(1), "--scheduler", "tcp://x:1")

    assert one.run() == 2

    told = "needs distributed, which cannot be imported; install it with: pip install 'NativeDL[dask]'"
    assert told in capsys.readouterr().err
    assert json.loads((one.output / "manifest.jsonl").read_text().splitlines()[-1])["state"] == "queued"
