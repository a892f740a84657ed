from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk
from tools import nativedl

from NativeDLLib.core.files import sha256
from NativeDLLib.core.places import resources_folder
from NativeDLLib.core.progress import Progress
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.registry import effective
from NativeDLLib.registry.load import load_registry
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.tools.tool import Machine
from NativeDLLib.training.cases import Volume
from NativeDLLib.training.config import Config, read_config
from NativeDLLib.training.entry import score

LARGEST_BYTES = 6_000_000
names = pytest.mark.parametrize("name", ["liver-ct-demo", "vertebra-ct-demo"])


def config(name: str) -> Config:
    return read_config(resources_folder() / "training" / f"{name}.json")


def model(name: str) -> Path:
    (entry,) = (m for m in load_registry(resources_folder() / "registry.json") if m.id == name)
    return resources_folder() / entry.weights.place


def card(name: str) -> str:
    return model(name).with_suffix(".md").read_text(encoding="utf-8")


@names
def test_a_bundled_model_is_small_enough_for_an_extension(name: str) -> None:
    assert model(name).stat().st_size <= LARGEST_BYTES


@names
def test_the_network_of_the_configuration_is_small_enough_for_an_extension(name: str) -> None:
    architecture = config(name).architecture
    assert architecture is not None
    assert 4 * sum(value.numel() for value in architecture.build(2).parameters()) < LARGEST_BYTES - 400_000


@names
def test_the_card_names_the_file_it_describes_by_its_digest(name: str) -> None:
    assert sha256(model(name)) in card(name)


@names
def test_the_card_says_what_the_model_is_not_for(name: str) -> None:
    assert "not for clinical use" in card(name).lower()


@names
def test_who_asks_for_a_bundled_model_is_told_so_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert nativedl("models", "show", name) == 0
    assert "not for clinical use" in capsys.readouterr().out.lower()


def test_the_bundled_registry_and_its_weights_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert nativedl("models", "check", resources_folder() / "registry.json") == 0
    assert "no errors" in capsys.readouterr().out


@names
def test_the_card_states_the_input_contract(name: str) -> None:
    task = config(name)
    for value in (*task.clip, *task.constants.values()):
        assert f"{value:g}" in card(name)
    assert " × ".join(str(n) for n in task.patch) in card(name)


@names
def test_a_bundled_model_finds_its_structure_in_a_phantom_it_has_not_seen(name: str) -> None:
    image, labels = make_phantom(900_010, (128, 112, 48), (3.0, 3.0, 4.0))
    (entry,) = (m for m in load_registry(resources_folder() / "registry.json") if m.id == name)
    source = Volume.of(image)
    result = run_pipeline(entry, source, effective(entry), Machine("cpu"), Progress())
    truth = sitk.GetArrayFromImage(labels) == {"liver-ct-demo": 1, "vertebra-ct-demo": 2}[name]
    assert score(sitk.GetArrayFromImage(result.labels) > 0, truth, image.GetSpacing())["dice"] > 0.85
