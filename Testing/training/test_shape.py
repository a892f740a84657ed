import pytest
import torch
from torch import Generator

from NativeDLLib.training.appearance import vary_shape
from NativeDLLib.training.cases import FAT, SOFT, UNLABELLED_AIR

SEEDS = range(12)
SHAPE = (24, 60, 60)


def body() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An organ (class 5, 80 HU) in soft tissue (class 203, 20 HU) with a bone beside it, in air."""
    image, classes = torch.full(SHAPE, -1000.0), torch.full(SHAPE, UNLABELLED_AIR, dtype=torch.uint8)
    image[:, 6:54, 6:54], classes[:, 6:54, 6:54] = 20.0, SOFT
    image[:, 14:40, 10:34], classes[:, 14:40, 10:34] = 80.0, 5
    image[:, 20:30, 36:40], classes[:, 20:30, 36:40] = 700.0, 9
    return image, classes, (classes == 5).to(torch.uint8)


@pytest.mark.parametrize("seed", SEEDS)
def test_image_classes_and_target_stay_those_of_each_other(seed: int) -> None:
    image, classes, target = body()

    varied, named, aim = vary_shape(image, classes, target, Generator().manual_seed(seed))

    inside, was = aim > 0, target > 0
    assert torch.equal(named == 5, inside)
    assert (varied[inside].mean() - 80).abs() < 5
    same = inside == was
    assert torch.equal(varied[same], image[same])
    assert torch.equal(named[same], classes[same])
    assert set(named[was & ~inside].tolist()) <= {FAT, SOFT}
    if (was & ~inside).any():
        assert varied[was & ~inside].mean() < 60


@pytest.mark.parametrize("seed", SEEDS)
def test_it_grows_over_no_bone_and_not_out_of_the_body(seed: int) -> None:
    image, classes, target = body()

    _, _, aim = vary_shape(image, classes, target, Generator().manual_seed(seed))

    assert not aim[(classes == UNLABELLED_AIR) | (classes == 9)].any()


def test_it_grows_and_shrinks() -> None:
    image, classes, target = body()

    sizes = [int(vary_shape(image, classes, target, Generator().manual_seed(s))[2].sum()) for s in range(40)]

    assert min(sizes) < 0.8 * target.sum()
    assert max(sizes) > 1.2 * target.sum()


def test_where_the_structure_is_not_nothing_is_changed() -> None:
    image, classes, target = body()

    varied, named, aim = vary_shape(image, classes, torch.zeros_like(target), Generator().manual_seed(0))

    assert torch.equal(varied, image)
    assert torch.equal(named, classes)
    assert not aim.any()


def test_a_seed_repeats_it() -> None:
    one, two = (vary_shape(*body(), Generator().manual_seed(3)) for _ in range(2))

    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
