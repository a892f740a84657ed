from __future__ import annotations

import pytest
import torch

from NativeDLLib.training.cases import Case
from NativeDLLib.training.loop import Schedule, dice_and_cross_entropy, train
from NativeDLLib.training.network import SmallUNet
from NativeDLLib.training.task import LIVER, Task


def test_training_lowers_the_loss(small_phantom: Case, liver: Task) -> None:
    _, losses = train(liver, [small_phantom, small_phantom], Schedule(steps=60), seed=1)
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def test_a_seed_repeats_the_training(small_phantom: Case) -> None:
    # At the real patch size: below it oneDNN sums the gradients of the deepest layer in an order of its own.
    first, again = (train(LIVER, [small_phantom], Schedule(steps=2, batch=1), seed=5) for _ in range(2))
    assert first[1] == again[1]
    for a, b in zip(first[0].parameters(), again[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_ends_when_its_time_is_up(small_phantom: Case, liver: Task) -> None:
    _, losses = train(liver, [small_phantom], Schedule(steps=100_000, minutes=0.02), seed=1)
    assert 0 < len(losses) < 1000


def test_a_perfect_answer_costs_nothing_and_an_opposite_one_much() -> None:
    target = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    target[:, :2] = 1
    logits = torch.stack([20.0 - 40 * target, 40.0 * target - 20], dim=1)
    assert dice_and_cross_entropy(logits, target).item() == pytest.approx(0, abs=1e-4)
    assert dice_and_cross_entropy(-logits, target) > 10


def test_the_network_is_small_enough_for_a_file_of_four_megabytes() -> None:
    assert sum(parameter.numel() for parameter in SmallUNet().parameters()) < 1_000_000
