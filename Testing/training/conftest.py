"""Trainings and cases small enough to learn from in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from trainings import write_config

from NativeDLLib.core.places import resources_folder
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.registry.load import load_registry
from NativeDLLib.training.cases import Case, make_case
from NativeDLLib.training.config import Config, read_config
from NativeDLLib.training.labels import to_classes


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A training of six steps."""
    return read_config(write_config(tmp_path_factory.mktemp("training")))


@pytest.fixture(scope="session")
def small_phantom() -> Case:
    """A phantom at the models' spacing, cut to the upper abdomen, with the liver as the target."""
    image, labels = make_phantom(3, (100, 80, 60), (3.0, 3.0, 3.0), centre=(0, 10, 190))
    (contract,) = (m.input for m in load_registry(_registry()) if m.id == "liver-ct-demo")
    return make_case(image, labels, to_classes(labels, {1: 1}, {}), {}, contract)


def _registry() -> Path:
    return resources_folder() / "registry.json"
