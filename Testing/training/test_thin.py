"""Series and patches of a few voxels: one slice, fewer than a patch, narrow ones, and nothing labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tools import nativedl
from torch import Generator
from trainings import PatchTask, content, image_of, without_export

from NativeDLLib.training.augment import random_patch
from NativeDLLib.training.cases import Case, make_case, mean_near
from NativeDLLib.training.config import Config

SIZES = [(1, 36, 40), (2, 36, 40), (3, 36, 40), (32, 2, 40), (32, 36, 2), (32, 1, 1), (1, 1, 1)]
PATCHES = [(16, 16, 16), (4, 32, 32), (2, 8, 8), (1, 16, 16)]


def thin_case(config: Config, size: tuple[int, int, int], *, labelled: bool = True) -> Case:
    values = np.random.default_rng(1).normal(0, 60, size).astype(np.float32)
    labels = image_of(((values > 60) & labelled).astype(np.uint8))
    return make_case(image_of(values), labels, labels, {1: 1.0}, config.model.input)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_a_case_of_any_size_gives_patches_of_any_size(config, size, labelled):
    case = thin_case(config, size, labelled=labelled)
    for patch in PATCHES:
        for seed in range(6):
            chances = {"synthesis": float(seed % 2), "reflect": seed % 3 == 0, "slabs": 1.0}
            task = PatchTask(patch=patch, mirror=True, **chances)
            image, target = random_patch(case, task, Generator().manual_seed(seed))
            assert (image.shape, target.shape) == ((1, *patch), patch)
            assert torch.isfinite(image).all()
            assert labelled or not target.any()


def test_voxels_have_the_mean_of_those_around_them_and_of_none_across_a_thin_axis():
    values = torch.arange(36.0).reshape(1, 6, 6)
    assert torch.allclose(mean_near(values)[0, 1:-1, 1:-1], values[0, 1:-1, 1:-1])
    cube = torch.arange(216.0).reshape(6, 6, 6)
    assert torch.equal(mean_near(cube)[2, 3, 3], cube[1:4, 2:5, 2:5].mean())


@pytest.mark.parametrize("size", [(1, 36, 40), (3, 36, 40), (32, 3, 40)])
def test_a_training_takes_a_series_that_is_thinner_than_its_patch(tmp_path: Path, size):
    rows = content(tmp_path)["data"]["train"]
    thin = np.random.default_rng(1).normal(0, 60, size).astype(np.int16)
    sitk.WriteImage(image_of(thin), tmp_path / "thin.nii.gz")
    sitk.WriteImage(image_of((thin > 60).astype(np.uint8)), tmp_path / "labels.nii.gz")
    row = {"name": "thin", "image": "thin.nii.gz", "labels": "labels.nii.gz", "map": {"1": 1}}
    path = without_export(tmp_path, data={"train": [*rows, row], "validate": [row]})

    assert nativedl("train", "--config", path, "--output", tmp_path / "out") == 0
    assert len((tmp_path / "out" / "log.csv").read_text().splitlines()) == 7
