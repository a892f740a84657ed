from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator

from NativeDLLib.training.appearance import recolour, synthesise
from NativeDLLib.training.cases import Case

AIR, SOFT, TARGET, BONE = 200, 3, 1, 7


def four_tissues() -> Case:
    """Four slabs along x: air, soft tissue, the structure to find, and bone."""
    classes = torch.zeros((10, 20, 40), dtype=torch.uint8)
    means = torch.zeros(256)
    for index, (number, mean) in enumerate(((AIR, -1000.0), (SOFT, 30.0), (TARGET, 60.0), (BONE, 400.0))):
        classes[..., 10 * index : 10 * index + 10] = number
        means[number] = mean
    return Case(means[classes.long()], classes, (classes == TARGET).to(torch.uint8), means, torch.zeros(256))


def tissue(image: torch.Tensor, index: int) -> torch.Tensor:
    return image[3:7, 5:15, 10 * index + 3 : 10 * index + 7]


def test_a_drawn_image_keeps_air_dark_and_bone_brighter_than_air() -> None:
    case = four_tissues()
    for seed in range(20):
        image = synthesise(case.classes.long(), case, Generator().manual_seed(seed))
        assert tissue(image, 0).mean() < -850
        assert -250 < tissue(image, 1).mean() < 350
        assert tissue(image, 3).mean() > 50


def test_drawn_images_have_the_structure_brighter_and_darker_than_what_is_around() -> None:
    case = four_tissues()
    steps = []
    for seed in range(30):
        image = synthesise(case.classes.long(), case, Generator().manual_seed(seed))
        steps.append(float(tissue(image, 2).mean() - tissue(image, 1).mean()))
    assert min(steps) < -30
    assert max(steps) > 30


def test_beyond_the_case_a_drawn_image_is_air() -> None:
    case = four_tissues()
    image = synthesise(torch.zeros((6, 8, 8), dtype=torch.long), case, Generator().manual_seed(1))
    assert image.mean() < -850


def test_new_colours_keep_the_texture_within_a_structure() -> None:
    case = four_tissues()
    textured = replace(case, image=case.image + torch.arange(20)[None, :, None] % 2)
    for seed in range(10):
        image = recolour(textured.image, textured.classes.long(), textured, Generator().manual_seed(seed))
        soft = tissue(image, 1)
        assert (soft[:, 1:] - soft[:, :-1]).abs().median() > 0.5


def test_what_is_to_be_found_is_never_filled_with_the_brightest_contrast_medium() -> None:
    case = four_tissues()
    brightest = {1: 0.0, 2: 0.0}
    for seed in range(300):
        image = recolour(case.image, case.classes.long(), case, Generator().manual_seed(seed))
        for index in brightest:
            brightest[index] = max(brightest[index], float(tissue(image, index).median()))
    assert brightest[1] > brightest[2]
