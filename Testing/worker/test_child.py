"""A command in a process of its own, followed to its end or ended at a limit."""

import threading

import factories
import psutil
import pytest

from NativeDLLib.worker.child import run_command


@pytest.fixture
def slow(tmp_path, registry, monkeypatch):
    """A command that takes longer than anyone waits here."""
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))
    factories.ct_series(tmp_path / "large", factories.block((48, 256, 256)))
    return ["run", "--input", tmp_path / "large", "--output", tmp_path / "out", "--set", "step=0.25"]


def never():
    return False


def test_a_command_is_followed_to_its_result(tmp_path, registry, series, monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))

    ended = run_command(["run", "--input", series, "--output", tmp_path / "out", "--keep-empty"], never)

    assert (ended.code, ended.limit, ended.reader.error) == (0, None, None)
    assert ended.reader.result["outcome"] == "segmented"
    assert ended.reader.stage == "write"


def test_a_refusal_comes_with_its_code_and_its_hint(tmp_path):
    ended = run_command(["run", "--output", tmp_path / "out"], never)

    assert (ended.code, ended.reader.code, ended.reader.error) == (2, 2, "name one source")
    assert "--input" in ended.reader.hint


@pytest.mark.parametrize(
    ("limits", "limit"), [({"seconds": 0.5}, "time"), ({"memory": 1}, "memory"), ({"memory": 30 * 2**20}, "memory")]
)
def test_a_command_is_ended_at_its_limit_and_leaves_nothing(slow, tmp_path, limits, limit):
    ended = run_command(slow, never, **limits)

    assert ended.limit == limit
    assert ended.code != 0
    assert not (tmp_path / "out").exists()
    assert not [child for child in psutil.Process().children() if "NativeDLLib" in " ".join(child.cmdline())]


def test_a_command_ends_when_it_is_to_stop(slow, tmp_path):
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()

    ended = run_command(slow, stop.is_set)

    assert ended.limit is None
    assert ended.code != 0
    assert not (tmp_path / "out").exists()


def test_a_program_that_cannot_be_started_is_named(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    assert run_command(["models"], never).reader.error == (
        "/nowhere/python could not be started: it is missing, or this computer does not allow it."
    )
