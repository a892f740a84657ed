"""Whatever the terminal can show and whoever reads: every command ends as it should, and nothing foreign steers it."""

import io
import json
import os
import signal
import subprocess
import sys

import factories
import pytest
from conftest import ROOT
from tools import nativedl

from NativeDLLib.cli.show_progress import JsonProgress, TerminalProgress, shown

HOSTILE = "Y\u00f6\u5c71\x1b]0;owned\x07\x1b[2J\u202eEvil"


@pytest.fixture
def place(tmp_path, registry, monkeypatch):
    """A series, a PACS file and a home of a person whose name no code page holds and that steers terminals."""

    def edit(dataset, _):
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = HOSTILE
        dataset.SeriesDescription = HOSTILE

    factories.ct_series(tmp_path / "series", edit=edit)
    (tmp_path / "pacs.json").write_text(json.dumps({"peers": []}))
    return tmp_path


COMMANDS = {
    "help": (["help"], 0),
    "help of a command": (["help", "run"], 0),
    "version": (["--version"], 0),
    "models": (["models"], 0),
    "models list": (["models", "list", "--json"], 0),
    "models show": (["models", "show", "bright"], 0),
    "models fit": (["models", "fit", "--input", "series"], 0),
    "inspect": (["inspect", "--input", "series"], 0),
    "inspect as JSON": (["inspect", "--input", "series", "--json"], 0),
    "inspect for programs": (["inspect", "--input", "series", "--events"], 0),
    "devices": (["devices"], 0),
    "run": (["run", "--input", "series", "--output", "out", "--model", "bright"], 0),
    "run with a bad path": (["run", "--input", HOSTILE, "--output", "out"], 3),
    "batch": (["batch", "series", "--output", "cohort", "--model", "bright"], 0),
    "approve": (["approve", "--result", HOSTILE, "--input", "series", "--reviewer", HOSTILE, "--output", "out"], 2),
    "regions": (["regions", "--result", HOSTILE, "--input", "series", "--output", "regions.json"], 3),
    "read-rtstruct": (["read-rtstruct", HOSTILE, "--input", "series", "--output", "read.seg.nrrd"], 3),
    "models check": (["models", "check", HOSTILE], 4),
    "models add": (["models", "add", HOSTILE], 2),
    "train": (["train", "--config", HOSTILE, "--output", "out"], 2),
    "doctor": (["doctor"], 0),
    "outbox": (["outbox", "list"], 0),
    "find": (["find", HOSTILE, "--pacs", "pacs.json"], 2),
    "echo": (["echo", HOSTILE, "--pacs", "pacs.json"], 2),
    "unknown": ([HOSTILE], 2),
}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize(("arguments", "code"), COMMANDS.values(), ids=COMMANDS)
def test_every_command_ends_as_it_should_on_every_terminal(place, registry, encoding, arguments, code):
    surroundings = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": encoding, "HOME": str(place)}
    ended = subprocess.run(
        [sys.executable, "-c", "from NativeDLLib.cli.main import program; program()", *arguments],
        cwd=place,
        env=os.environ | surroundings | {"NATIVEDL_REGISTRY": str(registry), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )

    assert ended.returncode == code, ended.stderr
    assert b"Traceback" not in ended.stderr
    for stream in (ended.stdout, ended.stderr):
        text = stream.decode(encoding)
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    if code:
        assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments", [["models", "list"], ["models", "list", "--events"], ["models", "show", "bright"], ["help"]]
)
def test_a_reader_that_is_gone_ends_it_quietly(registry, arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", "input(); from NativeDLLib.cli.main import program; program()", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"NATIVEDL_REGISTRY": str(registry)},
        cwd=ROOT,
    )
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()

    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_reader_of_events_that_is_gone_does_not_stop_the_work():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        os.close(reading)
        progress = JsonProgress(stream)
        for number in range(3):
            progress.warn(f"warning {number}")

    assert len(progress.warnings) == 3


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202eabc", "a\nb", "\udcff", "\x00", "\x9b2J", "\r"])
def test_what_steers_a_terminal_is_shown_as_an_escape(text):
    assert shown(text).isprintable()
    assert shown(text) != text


@pytest.mark.parametrize("text", ["山田\u3000太郎", "Müller", "a b", "µ ± ²"])
def test_what_people_write_is_shown_as_it_is(text):
    assert shown(text) == text


def test_signals_do_afterwards_what_they_did_before(registry, capsys):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert nativedl("models", registry=registry) == 0
    assert nativedl("models", "show", "nobody", registry=registry) == 4

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_umask_is_never_changed():
    assert not [f for f in (ROOT / "NativeDLLib").rglob("*.py") if "umask(" in f.read_text("utf-8")]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "nativedl: warning: odd\n"),
        ({"quiet": True}, ""),
        ({"verbose": True}, "nativedl: scan\nnativedl: warning: odd\n"),
    ],
)
def test_quiet_shows_less_and_verbose_more(settings, expected):
    stream = io.StringIO()
    progress = TerminalProgress(stream, **settings)
    with progress.stage("scan"):
        progress.warn("odd")

    assert stream.getvalue() == expected


def test_a_result_is_for_people_or_as_json(capsys):
    TerminalProgress().result({"number": 1}, "one", "two")
    assert capsys.readouterr().out == "one\ntwo\n"
    TerminalProgress(as_json=True).result({"number": 1}, "one", "two")
    assert json.loads(capsys.readouterr().out) == {"number": 1}
