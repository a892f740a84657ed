"""The measuring: what a program takes is that of all it starts, and of nothing else."""

import sys

import psutil
import pytest
from servers import wait_until

from benchmarks.measure import RunError, run_here, run_process

ALLOCATE = "block = b'x' * (200 * 2**20); import time; time.sleep(1.5)"
START = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
FORK = """
import os, time
block = b'x' * (200 * 2**20)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(1.5)
        os._exit(0)
for _ in range(3):
    os.wait()
"""
COUNT = "sum(range(10**7))"


def python(tmp_path, code, *arguments, **options):
    return run_process([sys.executable, "-c", code, *arguments], tmp_path / "log", **options)


def has_ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_memory_that_a_program_allocates_is_seen(tmp_path):
    small = python(tmp_path, "pass")
    large = python(tmp_path, ALLOCATE)

    assert small.peak_mib < 100
    assert 200 < large.peak_mib < 300
    assert large.seconds == large.process_seconds > 1.5


def test_memory_of_a_child_of_a_child_counts(tmp_path):
    assert 200 < python(tmp_path, START, ALLOCATE).peak_mib < 320


def test_memory_that_forked_processes_share_counts_once(tmp_path):
    assert 200 < python(tmp_path, FORK).peak_mib < 300


def test_memory_of_the_one_who_measures_does_not_count(tmp_path):
    block = b"x" * (300 * 2**20)

    assert python(tmp_path, "import time; time.sleep(0.1)").peak_mib < 100
    assert len(block) == 300 * 2**20


def test_processor_time_of_a_child_of_a_child_counts(tmp_path):
    own, nested = python(tmp_path, COUNT), python(tmp_path, START, COUNT)

    assert own.cpu_seconds > 0.03
    assert nested.cpu_seconds > 0.03


def test_a_call_in_this_process_is_measured():
    blocks = []

    cost = run_here(lambda: blocks.append(b"x" * (200 * 2**20)))

    assert cost.peak_mib > 200
    assert cost.seconds > 0
    assert cost.cpu_seconds > 0


def test_a_program_that_fails_is_an_error_with_its_last_words(tmp_path):
    with pytest.raises(RunError, match=r"ended with 3, see .*log: it hurts"):
        python(tmp_path, "print('it hurts'); raise SystemExit(3)")


def test_a_program_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(RunError, match="cannot be started"):
        run_process([tmp_path / "missing"], tmp_path / "log")


def test_a_program_that_takes_too_much_memory_is_ended_with_its_children(tmp_path):
    code = f"import os; print(os.getpid(), flush=True); {ALLOCATE}; time.sleep(60)"

    with pytest.raises(RunError, match="more than 100 MiB"):
        python(tmp_path, START, code, most_mib=100)

    pid = int((tmp_path / "log").read_text())
    wait_until(lambda: has_ended(pid), "the child ends")


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(RunError, match="ended with -9"):
        python(tmp_path, "import time; time.sleep(60)", timeout_s=0.5)
