"""A process that has imported what a model needs and waits: it becomes the command that it is told, or ends."""

import os
import subprocess

import factories
import psutil
import pytest
from servers import wait_until

from NativeDLLib.worker.processes import EventReader, spare_command, spare_line


@pytest.fixture
def spare(registry):
    """Start one for a model."""
    started = []

    def start(model="bright"):
        program, arguments, folder = spare_command(model)
        process = subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            env=os.environ | {"NATIVEDL_REGISTRY": str(registry)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def told(process, *arguments):
    """Tell a process what to run, and return what came of it, with its exit code."""
    output = process.communicate(spare_line(arguments))[0]
    reader = EventReader()
    reader.feed(output)
    reader.end(process.returncode, crashed=False)
    return reader, process.returncode


def test_it_runs_what_it_is_told(spare, series, tmp_path):
    reader, code = told(spare(), "run", "--input", series, "--output", tmp_path / "out")

    # Its input was closed with the line, which is what cancels a run.
    assert (code, reader.error) == (6, "cancelled: nothing was written or sent after that moment")


def test_it_is_the_command_with_its_events_and_exit_codes(spare, series, tmp_path):
    process, reader, events = spare(), EventReader(), []
    process.stdin.write(spare_line(["run", "--input", series, "--output", tmp_path / "out"]))
    process.stdin.flush()
    while not reader.result:
        events += reader.feed(process.stdout.readline())

    assert process.wait(20) == 0
    assert [event["stage"] for kind, event in events if kind == "stage"][:3] == ["scan", "read", "load"]
    assert (tmp_path / "out" / "segmentation.dcm").is_file()


def test_a_model_that_it_cannot_import_for_is_no_hindrance(spare):
    reader, code = told(spare("no such model"), "run", "--input", "missing", "--output", "out")

    assert (code, reader.error) == (3, "missing: does not exist")


def test_what_the_model_needs_is_imported_before_it_is_told(spare):
    process = psutil.Process(spare().pid)

    wait_until(lambda: any("onnxruntime" in each.path for each in process.memory_maps()), "the import")


def test_it_ends_where_the_program_that_started_it_is_gone(spare):
    process = spare()
    process.stdin.close()

    assert process.wait(30) == 0


def test_a_run_that_it_has_begun_is_cancelled_like_any_other(spare, tmp_path):
    factories.ct_series(tmp_path / "large", factories.block((24, 128, 128)))
    process, reader = spare(), EventReader()
    process.stdin.write(
        spare_line(["run", "--input", tmp_path / "large", "--output", tmp_path / "out", "--set", "step=0.25"])
    )
    process.stdin.flush()
    while not any(event.get("stage") == "infer" for _, event in reader.feed(process.stdout.readline())):
        assert process.poll() is None

    process.communicate()

    assert process.returncode == 6
    assert not (tmp_path / "out").exists()
