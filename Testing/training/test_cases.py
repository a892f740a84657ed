from __future__ import annotations

from pathlib import Path

import pytest

from NativeDLLib.errors import InputError
from NativeDLLib.training.cases import Case, phantom_case, torso_case
from NativeDLLib.training.task import LIVER, TASKS, VERTEBRAE


def test_a_missing_torso_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"torso_ct_3mm/ct\.nii\.gz is missing"):
        torso_case(tmp_path, LIVER)


def test_the_torso_is_turned_so_that_the_liver_is_at_small_x(real_data: Path) -> None:
    case = torso_case(real_data, LIVER)
    z, y, x = (axis.float().mean() for axis in case.target.nonzero(as_tuple=True))
    assert x < 0.45 * case.image.shape[2]
    assert z > 0.6 * case.image.shape[0]
    assert 0.3 < y / case.image.shape[1] < 0.6


def test_the_sacrum_is_no_vertebra(real_data: Path) -> None:
    case = torso_case(real_data, VERTEBRAE)
    sacrum = (case.classes == 25) | (case.classes == 26)
    assert sacrum.any()
    assert not case.target[sacrum].any()


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_phantom_has_the_structure_and_its_mean(task) -> None:
    case = phantom_case(7, task, size=(100, 80, 60))
    assert case.target.any()
    label = task.phantom_labels[0]
    assert case.means[label] == pytest.approx(case.image[case.target > 0].mean().item(), abs=0.5)


def test_unlabelled_voxels_are_told_apart_by_their_tissue(small_phantom: Case) -> None:
    unlabelled = small_phantom.classes.unique()
    assert {200, 202, 203} <= set(unlabelled.tolist())
    assert small_phantom.means[200] < -700 < small_phantom.means[202] < small_phantom.means[203]
