from __future__ import annotations

import pytest
import torch
from torch import Generator

from NativeDLLib.training.appearance import scan


def test_a_scan_keeps_the_shape_and_roughly_the_values() -> None:
    image = torch.full((10, 20, 21), 100.0)
    for seed in range(10):
        scanned = scan(image, Generator().manual_seed(seed))
        assert scanned.shape == image.shape
        assert scanned[2:-2, 4:-4, 4:-4].median().item() == pytest.approx(100, abs=35)


def test_scans_of_one_body_differ_in_noise_and_sharpness() -> None:
    step = torch.zeros(8, 24, 24)
    step[..., 12:] = 200.0
    noise, slope = [], []
    for seed in range(40):
        scanned = scan(step, Generator().manual_seed(seed))
        noise.append(float(scanned[..., 2:9].std()))
        slope.append(float((scanned[..., 12] - scanned[..., 11]).mean()))
    assert min(noise) < 5
    assert max(noise) > 15
    assert min(slope) < 130
    assert max(slope) > 205


def test_the_generator_alone_decides() -> None:
    image = torch.rand(8, 16, 16) * 100
    for seed in range(10):
        assert torch.equal(scan(image, Generator().manual_seed(seed)), scan(image, Generator().manual_seed(seed)))
