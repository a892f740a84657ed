from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.demo.phantom import make_phantom
from NativeDLLib.files import sha256
from NativeDLLib.resources import resources_folder
from NativeDLLib.training.evaluate import dice, load, segment
from NativeDLLib.training.task import TASKS, Task

tasks = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


def model(task: Task) -> Path:
    return resources_folder() / "models" / task.file_name


def card(task: Task) -> str:
    return model(task).with_suffix(".md").read_text(encoding="utf-8")


@tasks
def test_a_bundled_model_has_at_most_four_megabytes(task: Task) -> None:
    assert model(task).stat().st_size <= 4_000_000


@tasks
def test_the_card_names_the_file_it_describes_by_its_digest(task: Task) -> None:
    assert sha256(model(task)) in card(task)


@tasks
def test_the_card_says_what_the_model_is_not_for(task: Task) -> None:
    assert "not for clinical use" in card(task).lower()


@tasks
def test_the_card_states_the_input_contract(task: Task) -> None:
    for value in (*task.clip, task.mean, task.std):
        assert f"{value:g}" in card(task)
    assert " × ".join(str(n) for n in task.patch) in card(task)


@tasks
def test_a_bundled_model_finds_its_structure_in_a_phantom_it_has_not_seen(task: Task) -> None:
    ct, labels = make_phantom(900_010, (128, 112, 48), (3.0, 3.0, 4.0))
    truth = np.isin(sitk.GetArrayFromImage(labels), task.phantom_labels)
    assert dice(segment(load(model(task)), ct, task), truth) > 0.85
