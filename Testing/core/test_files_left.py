"""Files of patients: nobody else may read them, and what a killed process left is removed by the next one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from NativeDLLib.core.files import scratch
from NativeDLLib.panel.jobs import new_job

HOLDS = """
import sys
from NativeDLLib.core.files import scratch
with scratch("nativedl-test-") as folder:
    (folder / "patient.dcm").write_bytes(b"")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_one_keeps_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    start = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    command, environment = [sys.executable, "-c", HOLDS], os.environ | {"TMPDIR": str(tmp_path)}
    with (
        subprocess.Popen(command, env=environment, **start) as killed,
        subprocess.Popen(command, env=environment, **start) as living,
    ):
        left, used = (Path(process.stdout.readline().decode().strip()) for process in (killed, living))
        killed.kill()
        killed.wait()
        assert left.exists()

        with scratch("nativedl-test-") as mine:
            assert not left.exists()
            assert (used / "patient.dcm").exists()
            assert mine.stat().st_mode & 0o077 == 0
        living.communicate(b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_results_of_the_panel_are_readable_by_their_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    before = os.umask(0o002)
    try:
        folder = new_job({"model": "bright"}, ["a.dcm"], None).path
    finally:
        os.umask(before)

    for place in (folder, folder.parent, tmp_path / ".nativedl"):
        assert place.stat().st_mode & 0o077 == 0
