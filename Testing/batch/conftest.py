"""A cohort of small series, and a batch that runs as a person would start it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import factories
import psutil
import pytest
from conftest import ROOT
from servers import wait_until
from tools import nativedl


@pytest.fixture
def registry(tmp_path):
    return factories.registry(tmp_path / "registry")


@pytest.fixture
def cohort(tmp_path):
    """Write `count` series, one of which may be damaged and one of which no model fits."""

    def make(count, *, damaged=False, unsuitable=False):
        folder = tmp_path / "cohort"
        for index in range(count):
            factories.ct_series(folder / f"case{index:02}")
        if damaged:
            for path in sorted((folder / "case00").iterdir()):
                path.write_bytes(path.read_bytes()[:700])
        if unsuitable:
            for path in (folder / "case01").iterdir():
                path.unlink()
            factories.ct_series(folder / "case01", edit=of_a_head)
        return folder

    return make


def of_a_head(dataset, _):
    dataset.BodyPartExamined = "HEAD"
    dataset.StudyDescription = dataset.SeriesDescription = ""


class Batch:
    """A batch in `output`, with the same arguments at every start."""

    def __init__(self, output, registry, *arguments):
        self.output = Path(output)
        self.arguments = ["--output", str(output), *map(str, arguments)]
        self._environment = os.environ | {"NATIVEDL_REGISTRY": str(registry), "PYTHONPATH": str(ROOT)}
        self._registry = registry

    def run(self, *more):
        """Run it in this process and return its exit code."""
        return nativedl("batch", *self.arguments, *more, registry=self._registry)

    def start(self, *more):
        """Start it in a process of its own, which ends with the test."""
        command = [sys.executable, "-m", "NativeDLLib", "batch", *self.arguments, *map(str, more)]
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def lines(self):
        """Return the lines of the manifest that are about cases."""
        try:
            content = (self.output / "manifest.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [line for line in map(json.loads, content.splitlines()) if "case" in line]

    def states(self):
        """Return the last state of each case."""
        return {line["case"]: line["state"] for line in self.lines()}

    def count(self, state):
        """Return how many cases are in a state now."""
        return list(self.states().values()).count(state)

    def wait_for(self, state, count):
        """Wait until so many cases are in a state."""
        wait_until(lambda: self.count(state) >= count, f"{count} cases are {state}")

    def results(self):
        """Return the SOP Instance UID and the time of writing of each result."""
        found = {}
        for path in self.output.glob("[!.]*/report.json"):
            uid = json.loads(path.read_text())["segmentation"]["sop_instance_uid"]
            found[path.parent.name] = (uid, path.stat().st_mtime_ns)
        return found

    def jobs(self):
        """Return the jobs that run now, whoever started them."""
        found = []
        for process in psutil.process_iter():
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if "--with-parent" in line and any(word.startswith(f"{self.output}{os.sep}") for word in line):
                found.append(process)
        return found

    def wait_for_no_jobs(self):
        """Wait until no job is left."""
        wait_until(lambda: not self.jobs(), "the jobs end")


@pytest.fixture
def batch(tmp_path, registry):
    """Make a batch of these arguments in ``out``."""
    return lambda *arguments: Batch(tmp_path / "out", registry, *arguments)


def kill_tree(process):
    """Kill a process and all its children at once, as an out-of-memory killer or a power cut would."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(family)


def finish(process):
    """Wait for a batch and return its exit code and what it printed."""
    printed, _ = process.communicate(timeout=120)
    return process.returncode, printed


@pytest.fixture
def helpers():
    """What a test does with the process of a batch."""
    return finish, kill_tree
