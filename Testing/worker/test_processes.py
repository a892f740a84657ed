"""Worker processes as the panel sees them: their output however it arrives, their end, and that nothing is left."""

import json
import os
import subprocess
import sys

import factories
import psutil
import pytest
from conftest import ROOT
from growth import growth
from servers import wait_until

from NativeDLLib.worker.processes import EventReader, kill_tree

WAIT = "import threading; threading.Event().wait()"
CHILD = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {WAIT!r}])\n"
GRANDPARENT = (
    "import subprocess, sys, threading\n"
    f"child = subprocess.Popen([sys.executable, '-c', {CHILD + 'print(child.pid, flush=True); child.wait()'!r}])\n"
    "threading.Event().wait()"
)
# Starts another process as soon as one has died, as a pool of workers does.
POOL = (
    "import subprocess, sys\n"
    f"start = lambda: subprocess.Popen([sys.executable, '-S', '-c', {WAIT!r}])\n"
    "running = [start() for _ in range(4)]\n"
    "print('up', flush=True)\n"
    "while True:\n"
    "    running = [process if process.poll() is None else start() for process in running]\n"
)


def line(**event):
    return json.dumps(event).encode() + b"\n"


def python(code, **options):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **options)


def is_gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def run(*arguments, **environment):
    """Run a command to its end, read in small pieces, and return what its reader made of it."""
    reader = EventReader()
    process = subprocess.Popen(
        [sys.executable, "-m", "NativeDLLib", *map(str, arguments), "--events"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | environment,
    )
    events = []
    while piece := process.stdout.read(7):
        events += reader.feed(piece)
    reader.feed_log(process.stderr.read())
    reader.end(process.wait(), crashed=process.returncode < 0)
    return reader, events


def test_a_run_is_followed_to_its_report(tmp_path, registry, series):
    reader, events = run("run", "--input", series, "--output", tmp_path / "out", NATIVEDL_REGISTRY=str(registry))

    assert reader.error is None
    assert reader.result["model"]["id"] == "bright"
    assert [event["stage"] for kind, event in events if kind == "stage"][:3] == ["scan", "read", "load"]
    assert "stage: infer" in reader.log


def test_a_command_that_fails_says_why_in_one_line(tmp_path):
    reader, _ = run("inspect", "--input", tmp_path / "nowhere")

    assert reader.result is None
    assert reader.error.startswith(f"{tmp_path / 'nowhere'}: ")


def test_an_event_counts_when_its_line_is_whole():
    reader = EventReader()

    assert reader.feed(b'{"event": "st') == []
    assert reader.feed(b'age", "stage": "re') == []
    assert reader.feed(b'ad"}\n{"event": "progress"') == [("stage", {"stage": "read"})]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_characters_may_be_cut_in_two(size):
    reader, text = EventReader(), "zu groß für µ"
    output = json.dumps({"event": "warning", "message": text}, ensure_ascii=False).encode() + b"\n"

    for start in range(0, len(output), size):
        reader.feed(output[start : start + size])
    said = (text + "\n").encode()
    for start in range(0, len(said), size):
        reader.feed_log(said[start : start + size])

    assert list(reader.log) == [f"warning: {text}", text]


@pytest.mark.parametrize(
    "garbage",
    [
        b"Downloading 3%",
        b"[1]",
        b'"text"',
        b"17",
        b"{}",
        b'{"event"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 10_000,
        b"null",
    ],
)
def test_what_is_no_event_goes_to_the_log_and_what_follows_is_read(garbage):
    reader = EventReader()

    events = reader.feed(garbage + b"\n" + line(event="result", outcome="ok"))

    assert events == [("result", {"outcome": "ok"})]
    assert list(reader.log) == [garbage.decode(errors="replace")]


def test_an_error_without_words_is_an_error():
    reader = EventReader()

    reader.feed(line(event="error"))
    reader.end(1, crashed=False)

    assert reader.error == "The process failed without saying why."


def test_a_crash_is_told_with_the_last_words():
    process = python("import os, sys; sys.stderr.write('out of mem'); sys.stderr.flush(); os.abort()", stderr=-1)
    reader = EventReader()
    reader.feed_log(process.communicate()[1])

    reader.end(process.returncode, crashed=process.returncode < 0)

    assert reader.error == (
        "The process ended unexpectedly: memory may have run out, or it was killed. Its last words: out of mem"
    )


@pytest.mark.parametrize(
    ("code", "crashed", "names"),
    [(-6, True, True), (-11, True, True), (6, True, True), (0xC0000005, False, True), (-9, True, False)],
    ids=["abort", "segmentation fault", "abort as Qt says it", "access violation", "killed"],
)
def test_a_decoder_that_ends_the_process_is_told_with_its_file(code, crashed, names):
    reader = EventReader()
    reader.feed(
        line(event="stage", stage="read") + line(event="decode", file="/ct/1") + line(event="decode", file="/ct/2")
    )

    reader.end(code, crashed=crashed)

    message = "/ct/2: its compressed pixel data are damaged: decoding them ended the process"
    assert (reader.error == message) == names
    assert (reader.code == 3) == names
    assert len(reader.log) == 1


def test_what_ends_a_process_after_decoding_is_no_fault_of_the_file():
    reader = EventReader()
    reader.feed(
        line(event="stage", stage="read") + line(event="decode", file="/ct/1") + line(event="stage", stage="infer")
    )

    reader.end(-11, crashed=True)

    assert reader.error.startswith("The process ended unexpectedly")


def test_a_process_that_ends_silently_did_not_end_well():
    reader = EventReader()

    reader.end(9, crashed=False)

    assert reader.error == "The process ended unexpectedly: memory may have run out, or it was killed."


def test_a_result_that_was_reported_stands_whatever_happens_at_the_very_end():
    reader = EventReader()

    reader.feed(line(event="result", outcome="ok"))
    reader.end(-11, crashed=True)

    assert (reader.result, reader.error) == ({"outcome": "ok"}, None)


def test_a_last_line_that_is_not_ended_counts():
    reader = EventReader()

    reader.feed(line(event="result", outcome="ok").rstrip())
    reader.end(0, crashed=False)

    assert reader.result == {"outcome": "ok"}


def test_a_process_that_ended_well_without_a_result_has_none():
    reader = EventReader()

    reader.end(0, crashed=False)

    assert (reader.result, reader.error) == (None, None)


def test_the_log_keeps_the_last_lines():
    reader = EventReader()

    for number in range(10_000):
        reader.feed_log(b"line %d\n" % number)

    assert (len(reader.log), reader.log[-1]) == (500, "line 9999")


def test_a_long_line_in_small_pieces_is_read_in_time_proportional_to_its_length():
    def read(output):
        reader = EventReader()
        for start in range(0, len(output), 1024):
            reader.feed(output[start : start + 1024])
        return reader.result["series"]

    small, large = (line(event="result", series=["x" * 100] * number) for number in (25_000, 100_000))

    assert len(read(large)) == 100_000
    assert growth(read, small, large) < 8


def test_a_process_is_killed_with_its_children_and_theirs():
    with python(GRANDPARENT) as process:
        grandchild = psutil.Process(int(process.stdout.readline()))
        family = [psutil.Process(process.pid), grandchild.parent(), grandchild]

        kill_tree(process.pid)

        assert process.wait(timeout=20) < 0
        wait_until(lambda: all(map(is_gone, family)), "all of them end")


def test_a_pool_that_replaces_its_dead_leaves_nothing_behind():
    with python(POOL) as process:
        process.stdout.readline()
        mark = psutil.Process(process.pid).children()

        kill_tree(process.pid)

        assert process.wait(timeout=20) < 0
        wait_until(lambda: all(map(is_gone, mark)), "its children end")
    assert [p for p in psutil.process_iter() if p.ppid() == process.pid] == []


def test_a_process_that_is_gone_is_left_alone():
    process = python("")
    process.wait()

    kill_tree(process.pid)


@pytest.mark.parametrize("pid", [0, -1])
def test_what_is_no_process_yet_is_left_alone(pid):
    bystander = python(WAIT)

    kill_tree(pid)

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_the_job_is_gone_with_its_half_written_files_where_the_panel_closes_its_input(tmp_path, registry):
    factories.ct_series(tmp_path / "large", factories.block((24, 128, 128)))
    process = subprocess.Popen(
        [sys.executable, "-m", "NativeDLLib", "run", "--input", str(tmp_path / "large"), "--output",
         str(tmp_path / "out"), "--set", "step=0.25", "--events", "--with-parent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"NATIVEDL_REGISTRY": str(registry)},
    )  # fmt: skip
    reader = EventReader()
    while not any(event.get("stage") == "infer" for _, event in reader.feed(process.stdout.readline())):
        assert process.poll() is None

    output = process.communicate()[0]
    reader.feed(output)
    reader.end(process.returncode, crashed=False)

    assert reader.error == "cancelled: nothing was written or sent after that moment"
    assert not (tmp_path / "out").exists()
