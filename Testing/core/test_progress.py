import functools
import io
import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from NativeDLLib.cli.show_progress import JsonProgress, TerminalProgress
from NativeDLLib.core import progress as module
from NativeDLLib.core.errors import CancelledError, InputError, NativeDLError
from NativeDLLib.core.progress import Busy, Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Recorder(Progress):
    """Keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.events = []

    def show(self, event):
        self.events.append(event)


@pytest.fixture
def at_once(monkeypatch):
    """Let every step of progress be shown."""
    monkeypatch.setattr(Progress, "_INTERVAL_S", 0.0)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_cancelled_job_stops_at_its_next_look():
    progress = Progress()
    progress.check()

    setter = threading.Thread(target=progress.cancel)
    setter.start()
    setter.join()

    with pytest.raises(CancelledError) as caught:
        progress.check()
    assert caught.value.exit_code == 6


def test_stages_are_measured_in_order():
    progress = Progress()

    with progress.stage("read"):
        pass
    with progress.stage("infer"):
        pass

    assert [stage.name for stage in progress.stages] == ["read", "infer"]
    assert all(0 <= stage.seconds < 10 for stage in progress.stages)


def test_the_memory_of_a_stage_is_its_highest():
    progress = Progress()

    with progress.stage("small"):
        pass
    with progress.stage("large"):
        kept = np.ones(300 * 2**20, np.uint8)

    small, large = progress.stages
    assert large.peak_mib > small.peak_mib + 250
    assert kept.size


def test_a_stage_that_fails_is_measured_too():
    progress = Progress()

    with pytest.raises(ValueError, match="wrong"), progress.stage("read"):
        raise ValueError("wrong")

    assert [stage.name for stage in progress.stages] == ["read"]


def test_progress_says_how_much_is_done_and_how_long_the_rest_takes(at_once):
    progress = Recorder()

    with progress.stage("infer"):
        for fraction in (0.0, 0.25, 1.0):
            progress.update("infer", fraction)

    steps = [event for event in progress.events if event["event"] == "progress"]
    assert [step["fraction"] for step in steps] == [0.0, 0.25, 1.0]
    assert steps[0]["remaining_s"] is None
    assert steps[1]["remaining_s"] >= 0
    assert steps[2]["remaining_s"] == 0


def test_progress_is_shown_no_oftener_than_anybody_can_follow_but_always_at_the_end():
    progress = Recorder()

    for step in range(1, 1001):
        progress.update("infer", step / 1000)

    assert len(progress.events) < 100
    assert progress.events[-1]["fraction"] == 1


def test_a_warning_is_given_once_and_on_one_line():
    progress = Recorder()

    for text in ("two\nlines", "two lines", "another"):
        progress.warn(text)

    assert progress.warnings == ["two lines", "another"]
    assert [event["message"] for event in progress.events] == ["two lines", "another"]


def test_an_error_is_one_line_whatever_it_was_made_of():
    progress = Recorder()

    progress.error(InputError("a file:\n  is\tdamaged\r\n"))

    assert progress.events == [{"event": "error", "code": 3, "message": "a file: is damaged", "hint": ""}]


def test_a_program_gets_one_json_object_a_line():
    stream = io.StringIO()
    progress = JsonProgress(stream)

    with progress.stage("read"):
        progress.update("read", 1)
    progress.warn("Leber 肝\u2028")
    progress.result({"outcome": "segmented"})
    progress.error(NativeDLError("wrong"))

    assert stream.getvalue().isascii()
    assert [event["event"] for event in lines(stream)] == ["stage", "progress", "warning", "result", "error"]
    assert lines(stream)[3] == {"event": "result", "outcome": "segmented"}


def test_lines_of_several_threads_do_not_mix():
    stream = io.StringIO()
    progress = JsonProgress(stream)
    threads = [
        threading.Thread(target=lambda n=n: [progress.warn(f"{n} {i} " + "x" * 500) for i in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lines(stream)) == 200


def test_a_program_reads_from_standard_output_unless_told_otherwise(capsys):
    JsonProgress().warn("careful")

    assert json.loads(capsys.readouterr().out) == {"event": "warning", "message": "careful", "hint": ""}


def test_a_person_sees_bars_and_messages(at_once):
    terminal = Terminal()
    progress = TerminalProgress(terminal)

    with progress.stage("infer"):
        progress.update("infer", 0.5)
        progress.warn("careful")
        progress.update("infer", 1.0)
    progress.error(NativeDLError("wrong"))

    shown = terminal.getvalue()
    assert "infer  50%|" in shown
    assert "infer 100%|" in shown
    assert "nativedl: warning: careful\n" in shown
    assert shown.endswith("nativedl: error: wrong\n")


def test_a_log_file_gets_messages_only(at_once):
    log = io.StringIO()
    progress = TerminalProgress(log)

    with progress.stage("infer"):
        progress.update("infer", 0.5)
        progress.update("infer", 1.0)
    progress.warn("careful")
    progress.result({"outcome": "segmented"})

    assert log.getvalue() == "nativedl: warning: careful\n"


def test_the_time_in_which_several_threads_are_busy_counts_once(monkeypatch):
    clock, busy = SimpleNamespace(perf_counter=lambda: clock.now), Busy()
    monkeypatch.setattr(module, "time", clock)

    def at(now, act):
        clock.now = now
        act()

    leave = functools.partial(busy.__exit__, None, None, None)
    for now, act in [
        (1, busy.__enter__),
        (2, busy.__enter__),
        (4, leave),
        (7, leave),
        (20, busy.__enter__),
        (21, leave),
    ]:
        at(now, act)

    assert busy.seconds == 6 + 1
