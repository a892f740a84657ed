from __future__ import annotations

import torch
from torch import Generator, Tensor

from NativeDLLib.training.appearance import add_arms, add_table


def body(shape: tuple[int, int, int] = (12, 80, 100)) -> Tensor:
    """Soft tissue in the middle of air."""
    image = torch.full(shape, -1000.0)
    image[:, 20:50, 30:70] = 40.0
    return image


def test_arms_lie_in_the_air_beside_the_body() -> None:
    image, seen = body(), 0
    for seed in range(8):
        changed = add_arms(image, Generator().manual_seed(seed)) != image
        assert not changed[:, 20:50, 30:70].any()
        seen += bool(changed[..., :30].any() or changed[..., 70:].any())
    assert seen >= 5


def test_an_arm_has_bone_within_soft_tissue() -> None:
    for seed in range(8):
        arms = add_arms(body(), Generator().manual_seed(seed))
        arms[:, 20:50, 30:70] = -1000
        if (arms > -200).sum() > 2000:
            assert (arms > 350).any()
            assert ((arms > 0) & (arms < 100)).sum() > (arms > 350).sum()
            return
    raise AssertionError("no arm was painted")


def test_the_table_lies_behind_the_body_and_changes_nothing_of_it() -> None:
    image, seen = body(), 0
    for seed in range(8):
        changed = add_table(image, Generator().manual_seed(seed)) != image
        assert not changed[:, 20:50, 30:70].any()
        assert not changed[:, :20].any()
        seen += bool(changed[:, 50:].any())
    assert seen == 8


def test_an_image_of_air_alone_has_neither() -> None:
    air = torch.full((4, 20, 20), -1000.0)
    for seed in range(4):
        assert torch.equal(add_arms(air, Generator().manual_seed(seed)), air)
        assert torch.equal(add_table(air, Generator().manual_seed(seed)), air)
