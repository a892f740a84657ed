from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.training.negatives import make_negative

SIZE, SPACING = (30, 60, 70), (3.0, 3.0, 3.0)


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 5, 6])
def test_a_negative_is_air_around_a_body(seed: int) -> None:
    values = sitk.GetArrayFromImage(make_negative(seed, SIZE, SPACING))
    assert values.shape == SIZE
    assert 0.02 < (values > -300).mean() < 0.98
    assert (values < -800).any()


def test_heads_have_a_skull_around_a_brain() -> None:
    values = sitk.GetArrayFromImage(make_negative(0, (80, 80, 80), SPACING))
    bone, brain = values > 500, (values > 0) & (values < 100)
    rows = np.flatnonzero(brain.sum(axis=(1, 2)) > bone.sum(axis=(1, 2)))
    assert len(rows) > 10
    for z in rows[2:-2:4]:
        assert np.hypot(*(np.argwhere(bone[z]) - 39.5).T).mean() > np.hypot(*(np.argwhere(brain[z]) - 39.5).T).mean()


def test_some_negatives_are_of_one_material() -> None:
    for seed in range(3, 43, 4):
        values = sitk.GetArrayFromImage(make_negative(seed, SIZE, SPACING))
        smooth = np.median(values[:, ::3, ::3], axis=0)
        levels = [np.median(part) for part in (smooth[smooth < -500], smooth[smooth >= -500]) if part.size]
        assert all((np.abs(smooth - level) < 60).any() for level in levels)
        assert len(levels) in (1, 2)


def test_the_same_seed_gives_the_same_image_and_another_one_another() -> None:
    first, again, other = (sitk.GetArrayFromImage(make_negative(seed, SIZE, SPACING)) for seed in (4, 4, 7))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_middle_of_the_image_is_the_origin_of_the_patient() -> None:
    image = make_negative(1, SIZE, (2.0, 3.0, 4.0))
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    assert middle == pytest.approx((0, 0, 0), abs=1e-4)
    assert image.GetSpacing() == (4.0, 3.0, 2.0)
