"""Processes that take turns."""

import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from NativeDLLib.core.errors import CancelledError, UsageError
from NativeDLLib.core.locking import hold, take_turn
from NativeDLLib.core.progress import Progress

HOLDER = """
import sys
from pathlib import Path
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.locking import hold, take_turn
with take_turn([Path(sys.argv[1])], Progress()):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process whose turn it is."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "0")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def test_a_process_that_is_killed_leaves_its_turn_to_the_next(tmp_path, holder):
    threading.Timer(0.2, holder.kill).start()

    with take_turn([tmp_path / "0"], Progress()):
        assert holder.wait() != 0


def test_there_are_as_many_turns_as_files(tmp_path, holder):
    with take_turn([tmp_path / "0", tmp_path / "1"], Progress()):
        assert holder.poll() is None


def test_waiting_takes_no_processor_and_ends_where_it_is_cancelled(tmp_path, holder):
    progress, before = Progress(), time.thread_time()
    threading.Timer(0.5, progress.cancel).start()

    with pytest.raises(CancelledError), take_turn([tmp_path / "0"], progress):
        pass

    assert time.thread_time() - before < 0.05


def test_a_place_where_no_file_can_be_is_no_reason_to_wait(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"), take_turn([tmp_path / "file" / "0"], Progress()):
        pass


def test_a_folder_is_held_by_one_and_free_afterwards(tmp_path):
    folder = tmp_path / "new"

    with (
        hold(folder, "free"),
        pytest.raises(UsageError, match="a program works there"),
        hold(folder, "a program works there"),
    ):
        pass
    with hold(folder, "still held"):
        pass
