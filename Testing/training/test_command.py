from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.demo.phantom import make_phantom
from NativeDLLib.training import __main__ as command
from NativeDLLib.training import evaluate
from NativeDLLib.training.task import LIVER, VERTEBRAE, Task


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of test data in which a small phantom stands for the torso, its liver labelled 5 as there."""
    ct, labels = make_phantom(11, (48, 44, 30), (6.0, 6.0, 6.0), centre=(0, 10, 170))
    folder = tmp_path / "data" / "torso_ct_3mm"
    folder.mkdir(parents=True)
    sitk.WriteImage(ct, folder / "ct.nii.gz")
    sitk.WriteImage(sitk.Cast(labels == 1, sitk.sitkUInt8) * 5 + (labels == 2) * 29, folder / "labels.nii.gz")
    return tmp_path / "data"


def small_examples(task: Task, data: Path) -> Iterator[evaluate.Example]:
    ct, labels = make_phantom(12, (40, 36, 20), (7.0, 7.0, 7.0), centre=(0, 10, 190))
    yield evaluate.Example("a phantom", ct, sitk.GetArrayFromImage(labels) == task.phantom_labels[0])


@pytest.mark.parametrize("task", [LIVER, VERTEBRAE], ids=lambda task: task.name)
def test_one_command_trains_exports_and_measures(
    task: Task, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(command.TASKS, task.name, replace(task, patch=(16, 32, 32)))
    monkeypatch.setattr(command, "examples", small_examples)
    output = tmp_path / "models"
    with caplog.at_level(logging.INFO):
        assert command.main(
            ["--data", str(data), "--output", str(output), "--model", task.name, "--steps", "50", "--phantoms", "1"]
        ) == 0  # fmt: skip
    assert [path.name for path in output.iterdir()] == [task.file_name]
    assert f"{task.name}: step 50, loss" in caplog.text
    assert "SHA-256" in caplog.text
    assert "on a phantom" in caplog.text


def test_missing_data_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--data", str(tmp_path), "--output", str(tmp_path)]) == 3
    message = capsys.readouterr().err
    assert message.startswith("training: ")
    assert message.count("\n") == 1


def test_examples_are_the_torso_held_out_phantoms_and_another_patient(real_data: Path) -> None:
    found = list(evaluate.examples(LIVER, real_data))
    assert [example.name.split()[0] for example in found] == ["torso", *["phantom"] * 4, "three"]
    for example in found:
        assert example.truth.shape == example.image.GetSize()[::-1]
        assert example.truth.any()


def test_dice_is_the_overlap_of_two_masks() -> None:
    a, b = np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
    assert evaluate.dice(a, b) == 1
    a[0], b[:, 0] = 1, 1
    assert evaluate.dice(a, b) == pytest.approx(2 * 4 / (12 + 8))
