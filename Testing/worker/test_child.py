"""A command in a process of its own, followed to its end or ended at a limit."""

import random
import threading

import factories
import numpy as np
import psutil
import pytest
from pydicom.uid import JPEGLosslessSV1

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


def test_an_image_that_ends_its_decoder_and_the_process_is_named(tmp_path, monkeypatch):
    """With these bytes changed GDCM 3.2.6 aborts; a decoder that only complains is told in other words."""
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path / "registry")))
    voxels = factories.block((6, 64, 64)) + np.random.default_rng(1).integers(0, 30, (6, 64, 64))
    file = factories.ct_series(tmp_path / "series", voxels, syntax=JPEGLosslessSV1)[2]
    content, chance = bytearray(file.read_bytes()), random.Random(188)
    start = content.rfind(b"\xfe\xff\x00\xe0", 0, len(content) - 16) + 8
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        content[chance.randrange(start, len(content) - 8)] = chance.randrange(256)
    file.write_bytes(content)

    words = ["run", "--input", tmp_path / "series", "--model", "bright", "--output", tmp_path / "out"]
    ended = run_command(words, never)

    assert ended.reader.error.startswith(f"{file}: ")
    assert "pixel data" in ended.reader.error
    assert "damaged" in ended.reader.error
    assert ended.reader.code == 3
    assert not (tmp_path / "out").exists()
