"""The memory that a run is told to need, and what it then takes."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import factories
import numpy as np
import pytest
from conftest import ROOT

from NativeDLLib.core.progress import Progress
from NativeDLLib.inference import memory_estimate
from NativeDLLib.inference.engine import load_engine, window_settings
from NativeDLLib.inference.memory_estimate import Work, check_memory, guessed, tried
from NativeDLLib.registry import effective, load_models
from NativeDLLib.registry.load import make_model
from NativeDLLib.registry.weights import Weights
from NativeDLLib.source import Series

WORK = Work(
    taken=1,
    image=(512, 512, 300), network=(300, 273, 273), patch=(96, 96, 96), channels=(8,), channel_bytes=4,
    classes=26, has_head=True, is_streamed=True, mirrors=False, forward=0, concurrency=1,
)  # fmt: skip


@pytest.fixture
def series(tmp_path):
    rng = np.random.default_rng(1)
    voxels = factories.block((80, 320, 320)) + rng.integers(-20, 20, (80, 320, 320), np.int16)
    return Series.read(factories.ct_series(tmp_path / "series", voxels, spacing=(1.2, 1.2, 2.0)))


def run(series, out, limit):
    folder = series.instances[0].path.parent
    arguments = ["--input", folder, "--model", "liver-ct-demo", "--device", "cpu", "--output", out]
    command = [sys.executable, "-m", "NativeDLLib", "run", *arguments, "--max-memory", str(limit)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_run_takes_no_more_than_the_number_that_it_was_refused_with_and_not_much_less(tmp_path, series):
    unread = refusal(run(series, tmp_path / "out", 100), "at least")
    needed = refusal(run(series, tmp_path / "out", unread + 60), "about")

    done = run(series, tmp_path / "out", needed)

    assert done.returncode == 0, done.stderr
    assert needed / 1.5 < json.loads((tmp_path / "out" / "report.json").read_text())["peak_mib"] < needed


def refusal(finished, word):
    assert finished.returncode == 3
    found = re.fullmatch(rf"nativedl: error: .* need {word} (\d+) MiB of memory, more than .*\n", finished.stderr)
    assert found, finished.stderr
    return int(found[1])


def test_a_trial_tells_the_networks_grid_and_what_it_gives(series):
    model = load_models()["liver-ct-demo"]
    engine = load_engine(model, Weights(model), "cpu")
    image, _ = series.image()

    work = guessed(image, model, engine, window_settings(model, engine, effective(model)))
    work = tried(work, image, engine, Progress())

    prepared = engine.prepare(image)
    assert work.network == pytest.approx(prepared.volume.shape[1:], abs=memory_estimate._PROBE)
    assert work.channels == [2]


def test_without_a_limit_a_run_that_needs_more_than_there_is_goes_on_with_a_warning(series, monkeypatch):
    model, progress = load_models()["liver-ct-demo"], Progress()
    engine = load_engine(model, Weights(model), "cpu")
    image, _ = series.image()
    check_memory(image, model, engine, window_settings(model, engine, effective(model)), None, progress)
    assert (progress.stages, progress.warnings) == ([], [])

    monkeypatch.setattr(memory_estimate, "available", lambda: 2**20)
    check_memory(image, model, engine, window_settings(model, engine, effective(model)), None, progress)

    (warning,) = progress.warnings
    assert re.search(r"need about \d+ MiB of memory, more than the \d+ MiB that this process can have here", warning)


@pytest.mark.parametrize(
    "more",
    [
        {"image": (512, 512, 1200)},
        {"channels": (8, 8)},
        {"has_head": False, "channels": (26,)},
        {"is_streamed": False},
        {"mirrors": True},
        {"concurrency": 4},
        {"forward": 2**31},
    ],
    ids=str,
)
def test_more_to_hold_needs_more(more):
    work = replace(WORK, forward=2**30)

    assert replace(work, **more).peak > 1.04 * work.peak


def test_what_stays_on_a_gpu_needs_no_main_memory():
    assert replace(WORK, channels=()).peak < WORK.peak


def test_plans_that_nnunet_itself_follows_to_the_end_are_known_to_hold_all_logits(tmp_path, series):
    pytest.importorskip("nnunetv2")
    import nnunet_folder

    for name, masks in (("usual", False), ("masked", True)):
        nnunet_folder.write(
            tmp_path / name,
            change_plans=lambda p, m=masks: p["configurations"]["3d_fullres"].update(use_mask_for_norm=[m]),
        )
        entry = factories.entry(
            runtime="nnunetv2",
            weights={"folder": name},
            input={"modality": "CT", "channels": [{"name": "CT"}]},
            sliding_window={},
        )
        model = make_model(entry, tmp_path / "registry.json")

        engine = load_engine(model, Weights(model), "cpu")
        work = guessed(series.image()[0], model, engine, window_settings(model, engine, {}))

        assert work.is_streamed is not masks
        assert work.mirrors
