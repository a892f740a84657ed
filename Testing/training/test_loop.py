from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from NativeDLLib.core.errors import CancelledError, InputError, ModelError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.training.augment import batches
from NativeDLLib.training.cases import read_cases
from NativeDLLib.training.config import Config
from NativeDLLib.training.loop import deep_supervision, dice_and_cross_entropy, fingerprint, train


def scheduled(config: Config, **changes: object) -> Config:
    return replace(config, schedule=replace(config.schedule, **changes))


def run(config: Config, folder: Path, *, resume: bool = False, progress: Progress | None = None) -> nn.Module:
    folder.mkdir(exist_ok=True)
    assert config.architecture is not None
    torch.manual_seed(config.schedule.seed)
    network = config.architecture.build(len(config.classes) + 1)
    cases, odds = read_cases(config, Progress())
    training = fingerprint(config, config.architecture, "")
    return train(network, cases, odds, config, training=training, folder=folder, resume=resume, progress=progress)


def losses(folder: Path) -> list[str]:
    with (folder / "log.csv").open(newline="") as stream:
        return [row["loss"] for row in csv.DictReader(stream)]


class CancelAfter(Progress):
    """Is set when it has been looked at a number of times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._left = looks

    @property
    def is_cancelled(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_seed_repeats_the_training_with_any_number_of_workers(config: Config, tmp_path: Path) -> None:
    first, again = run(config, tmp_path / "a"), run(replace(config, threads=8), tmp_path / "b")
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    run(scheduled(config, seed=2), tmp_path / "c")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def test_a_training_that_was_cancelled_goes_on_as_if_it_had_not_been(config: Config, tmp_path: Path) -> None:
    whole = run(config, tmp_path / "whole")
    with pytest.raises(CancelledError, match="cancelled after step 4") as caught:
        run(config, tmp_path / "cut", progress=CancelAfter(4))
    assert "--resume" in caught.value.hint
    assert len(losses(tmp_path / "cut")) == 4
    resumed = run(config, tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_another_training_is_not_resumed(config: Config, tmp_path: Path) -> None:
    run(scheduled(config, steps=1), tmp_path)
    with pytest.raises(UsageError, match="is of a training with other data, network or schedule"):
        run(scheduled(config, steps=1, learning_rate=0.1), tmp_path, resume=True)
    with pytest.raises(InputError, match="nothing to resume"):
        run(config, tmp_path / "new", resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="is not a checkpoint of a training"):
        run(config, tmp_path, resume=True)


def test_a_checkpoint_holds_nothing_that_needs_unpickling(config: Config, tmp_path: Path) -> None:
    run(scheduled(config, steps=1), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 1


def test_training_ends_when_its_time_is_up(config: Config, tmp_path: Path) -> None:
    run(scheduled(config, steps=100_000, minutes=0.01), tmp_path)
    assert 0 < len(losses(tmp_path)) < 1000


def test_a_loss_that_is_no_number_is_an_error_and_not_a_model(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the loss of step \d is not a number; lower schedule.learning_rate"):
        run(scheduled(config, steps=9, learning_rate=1e30), tmp_path)


def test_the_learning_rate_rises_and_falls(config: Config) -> None:
    schedule = replace(config.schedule, steps=200, learning_rate=1.0)
    rates = [schedule.rate(step, step / 200) for step in range(200)]
    assert rates.index(max(rates)) == 49
    assert rates[0] < 0.03
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_patches_are_the_same_from_any_step_on(config: Config) -> None:
    cases, odds = read_cases(config, Progress())
    whole = list(batches(cases, odds, config, first=0, workers=1))
    rest = list(batches(cases, odds, config, first=4, workers=3))
    assert len(whole) == 6
    assert len(rest) == 2
    for (a, b), (c, d) in zip(whole[4:], rest, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_a_perfect_answer_costs_nothing_and_an_opposite_one_much() -> None:
    target = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    target[:, 1:2], target[:, 2:] = 1, 2
    logits = 40.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    assert dice_and_cross_entropy(logits, target).item() == pytest.approx(0, abs=1e-4)
    assert dice_and_cross_entropy(-logits, target) > 10
    half = logits.clone()
    half[:, :, 1] = logits[:, [0, 2, 1], 1]
    assert 1 < dice_and_cross_entropy(half, target) < dice_and_cross_entropy(-logits, target)


def test_coarser_outputs_count_half_as_much_and_the_coarsest_not_at_all() -> None:
    target = torch.ones(1, 8, 8, 8, dtype=torch.int64)
    right = [40.0 * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1, 1).expand(1, 2, n, n, n) for n in (8, 4, 2)]
    wrong = [-output for output in right]
    costs = [
        deep_supervision([wrong[i] if i == level else right[i] for i in range(3)], target).item() for level in range(3)
    ]
    assert costs[0] == pytest.approx(2 * costs[1], rel=0.05)
    assert costs[2] == pytest.approx(0, abs=1e-3)
    assert deep_supervision(wrong[:1], target) > costs[0]
