"""A program that was started by another one ends with it."""

import subprocess
import sys

import psutil
import pytest
from conftest import ROOT
from servers import wait_until

STUCK = """
import subprocess, sys, threading
from NativeDLLib.worker import signals
from NativeDLLib.core.progress import Progress
signals._GRACE_S = 0.2
child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
signals.end_with_parent(Progress())
print(child.pid, flush=True)
threading.Event().wait()
"""

WILLING = """
import sys
from NativeDLLib.core.progress import Progress
from NativeDLLib.worker.signals import end_with_parent
progress = Progress()
end_with_parent(progress)
progress._cancellation.wait()
sys.exit(42)
"""


@pytest.fixture
def started():
    def start(code):
        return subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    return start


def test_it_ends_in_its_own_way_where_it_can(started):
    with started(WILLING) as process:
        process.stdin.close()

        assert process.wait(timeout=20) == 42


def test_it_ends_with_its_children_where_it_is_stuck(started):
    with started(STUCK) as process:
        child = psutil.Process(int(process.stdout.readline()))
        process.stdin.close()

        assert process.wait(timeout=20) == 6
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its child ends")
