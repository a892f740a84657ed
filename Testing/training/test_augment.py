from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator
from trainings import PatchTask

from NativeDLLib.training.appearance import recolour, scan
from NativeDLLib.training.augment import (
    AIR,
    limit_field_of_view,
    normalise,
    random_patch,
    reflected,
    sample,
    sampling_points,
)
from NativeDLLib.training.cases import Case

LIVER, VERTEBRAE = PatchTask(), PatchTask(clip=(-200.0, 1000.0), mean=150.0, std=250.0, mirror=True)
SEEDS = range(6)


def block_case(shape: tuple[int, int, int] = (40, 60, 60)) -> Case:
    """A bright block on the right side of a grey volume; only the block is the structure."""
    target = torch.zeros(shape, dtype=torch.uint8)
    target[10:30, 20:45, 5:25] = 1
    image = torch.where(target > 0, 600.0, 0.0)
    return Case(image, target, target, torch.tensor([0.0, 600.0] + [0.0] * 254), torch.zeros(256))


def test_image_and_target_are_bent_alike() -> None:
    case, task = block_case(), replace(LIVER, patch=(32, 48, 48))
    seen = 0
    for seed in range(12):
        points = sampling_points(case, task, Generator().manual_seed(seed))
        bright = sample(case.image, points, outside=AIR) > 300
        target = sample(case.target, points, outside=0) > 0
        if target.sum() > 500:
            seen += 1
            assert 2 * (bright & target).sum() / (bright.sum() + target.sum()) > 0.96
    assert seen > 6


def test_sampling_at_the_voxels_gives_the_volume_back() -> None:
    volume = torch.rand((4, 5, 6), generator=Generator().manual_seed(0))
    axes = [torch.arange(n, dtype=torch.float32) for n in volume.shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    assert torch.allclose(sample(volume, points, outside=AIR), volume, atol=1e-3)


def test_what_lies_outside_the_volume_is_air() -> None:
    assert sample(torch.zeros(4, 4, 4), torch.full((1, 1, 1, 3), 50.0), outside=AIR).item() == AIR


@pytest.mark.parametrize("task", [LIVER, VERTEBRAE], ids=["liver", "vertebrae"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_patch_obeys_the_input_contract(small_phantom: Case, task: PatchTask, seed: int) -> None:
    image, target = random_patch(small_phantom, task, Generator().manual_seed(seed))
    assert image.shape == (1, 16, 32, 32)
    assert target.shape == (16, 32, 32)
    low, high = ((limit - task.mean) / task.std for limit in task.clip)
    assert image.min() >= low - 1e-5
    assert image.max() <= high + 1e-5
    assert set(target.unique().tolist()) <= {0, 1}


def test_the_same_generator_gives_the_same_patch(small_phantom: Case) -> None:
    first, again = (random_patch(small_phantom, LIVER, Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_most_patches_hold_some_of_the_structure(small_phantom: Case) -> None:
    rng = Generator().manual_seed(1)
    held = sum(bool(random_patch(small_phantom, LIVER, rng)[1].any()) for _ in range(40))
    assert held > 24


def test_new_colours_differ_between_structures_but_not_within_them() -> None:
    case, rng = block_case(), Generator().manual_seed(2)
    steps = []
    for _ in range(5):
        image = recolour(case.image, case.classes.long(), case, rng)
        block, around = image[15:25, 25:40, 10:20], image[0:8, 2:15, 30:50]
        assert block.std() < 0.1
        assert around.std() < 0.1
        steps.append((block.mean() - around.mean()).item())
    assert max(steps) - min(steps) > 50


def test_the_contrast_medium_goes_where_it_is_taken_up() -> None:
    case = replace(block_case(), uptake=torch.tensor([0.0, 1.0] + [0.0] * 254))
    rises = []
    for seed in range(30):
        image = recolour(case.image.clip(max=50), case.classes.long(), case, Generator().manual_seed(seed))
        rises.append((image[20, 30, 15] - 50 - image[5, 5, 40]).item())
    assert max(rises) > 60


def test_a_scan_keeps_the_shape_and_roughly_the_values() -> None:
    image = torch.full((10, 20, 21), 100.0)
    for seed in range(10):
        scanned = scan(image, Generator().manual_seed(seed))
        assert scanned.shape == image.shape
        assert scanned[2:-2, 4:-4, 4:-4].mean().item() == pytest.approx(100, abs=35)


def test_nothing_is_to_be_found_outside_the_field_of_view() -> None:
    thin = 0
    for seed in range(30):
        image, target = limit_field_of_view(
            torch.zeros(30, 40, 40), torch.ones(30, 40, 40), LIVER, Generator().manual_seed(seed)
        )
        assert not target[image == AIR].any()
        assert target[image != AIR].all()
        thin += bool((image == AIR).flatten(1).all(dim=1).any())
    assert thin > 0


def test_a_slab_is_continued_as_inference_continues_it() -> None:
    image = torch.arange(30.0)[:, None, None].expand(30, 8, 8)
    task, thinnest = replace(LIVER, reflect=True), 30
    for seed in range(30):
        slab, target = limit_field_of_view(image, image, task, Generator().manual_seed(seed))
        assert torch.equal(slab[slab != AIR], target[slab != AIR])
        rows = slab.amax(dim=(1, 2))
        first, last = int(rows.min()), int(rows.max())
        inside = rows[first : last + 1]
        assert torch.equal(inside, torch.arange(first, last + 1.0))
        continued = np.pad(inside.numpy(), (first, 29 - last), mode="symmetric")
        assert np.array_equal(rows.numpy(), continued)
        thinnest = min(thinnest, last - first + 1)
    assert thinnest < 4


def test_slabs_and_drawn_images_are_as_likely_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0

    def draw(*_: object) -> torch.Tensor:
        nonlocal drawn
        drawn += 1
        return torch.zeros(LIVER.patch)

    monkeypatch.setattr("NativeDLLib.training.appearance.synthesise", draw)
    for odds in (0.0, 1.0):
        task = replace(LIVER, synthesis=odds, slabs=odds, reflect=True)
        for seed in SEEDS:
            random_patch(block_case(), task, Generator().manual_seed(seed))
        assert drawn == odds * len(SEEDS)
    ramp = torch.arange(30.0)[:, None, None].expand(30, 8, 8)
    for odds in (0.0, 1.0):
        task = replace(LIVER, slabs=odds, reflect=True)
        for seed in range(20):
            slab, _ = limit_field_of_view(ramp, ramp, task, Generator().manual_seed(seed))
            assert torch.equal(slab.amax(dim=(1, 2)), ramp[:, 0, 0]) == (odds == 0)


def test_other_shapes_are_given_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def vary(*given: object) -> tuple[object, ...]:
        nonlocal asked
        asked += 1
        return given[:3]

    monkeypatch.setattr("NativeDLLib.training.appearance.vary_shape", vary)
    for task in (LIVER, replace(LIVER, vary_shape=True)):
        for seed in range(20):
            random_patch(block_case(), task, Generator().manual_seed(seed))
        assert (asked > 0) == task.vary_shape


def test_a_patch_beyond_the_first_or_last_slice_sees_the_slices_before_it_reflected() -> None:
    places = torch.tensor([-3.0, -1.0, -0.5, 0.0, 2.25, 3.0, 3.5, 4.0, 8.0])
    assert reflected(places, 0, 3).tolist() == [2.0, 0.0, -0.5, 0.0, 2.25, 3.0, 3.5, 3.0, 0.0]
    case = block_case((6, 40, 40))
    deep = replace(LIVER, patch=(48, 32, 32), reflect=True)
    air = sum(
        bool((random_patch(case, deep, Generator().manual_seed(s))[0][0] < -2).all(dim=(1, 2)).any()) for s in range(6)
    )
    assert air == 0


def test_normalising_clips_shifts_and_scales() -> None:
    values = normalise(torch.tensor([-1000.0, 50.0, 150.0, 3000.0]), LIVER)
    assert values.tolist() == pytest.approx([-2.5, 0.0, 1.0, 2.5])
