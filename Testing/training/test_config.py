from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trainings import ball_entry, content

from NativeDLLib.cli.main import main
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import resources_folder
from NativeDLLib.training.config import FORMATS, Config, read_config
from NativeDLLib.training.loop import fingerprint
from NativeDLLib.training.unet import Architecture


def changed(folder: Path, place: str, value: Any) -> Path:
    """Write a configuration in which one thing is another; a place is like ``data.train.0.map``."""
    data = content(folder)
    *steps, last = (int(step) if step.isdecimal() else step for step in place.split("."))
    here: Any = data
    for step in steps:
        here = here[step]
    here[last] = value
    path = folder / "training.json"
    path.write_text(json.dumps(data))
    return path


FAULTS = {
    "an unknown key": ("stepz", 3, "'stepz' is not known here"),
    "no data": ("data.train", [], "data.train: [] should be non-empty"),
    "no map": ("data.train.0", {"image": "ct1.nii.gz", "labels": "labels1.nii.gz"}, "data.train[0]: has no map"),
    "no labels": ("data.train.0", {"image": "ct1.nii.gz", "map": {"1": 1}}, "'labels' is missing"),
    "a class that is not there": ("data.train.0.map", {"1": 2}, "data.train[0].map: there is no class 2"),
    "image and phantoms": ("data.train.1.phantoms", 3, "data.train[1].phantoms: is not allowed here"),
    "phantoms without a seed": ("data.train.1", {"phantoms": 3, "map": {"1": 1}}, "'seed' is missing"),
    "shares above one": ("data.train.0.share", 1.5, "data.train[0].share: 1.5 is greater than the maximum of 1"),
    "classes with a gap": ("classes", {"2": "Liver"}, "classes: must be numbered from 1"),
    "a segment without class": ("entry.output.segments.0.label", 2, "label 2 is beyond the 2 channels"),
    "too many channels": ("entry.output.channels", 5, "entry.output.channels: is 5"),
    "a wrong entry": ("entry.input.spacing", [3, 3], "entry.input.spacing: [3, 3] is too short"),
    "an entry with weights": ("entry.weights", {"file": "x"}, "entry.weights: is not allowed here"),
    "another modality": ("entry.input.modality", "MR", "entry.input: training takes one channel of CT"),
    "no statistics": ("entry.input.intensity", {"normalization": "image"}, "CT with clip and mean and std"),
    "an odd patch": ("entry.input.patch_size", [16, 18, 16], "[16, 18, 16] must be a multiple of [4, 4, 4]"),
    "too few strides": ("network.strides", [[1, 1, 1]], "network.strides: has 1 values, 3 features ask for 3"),
    "a stride at the input": ("network.strides", [[2, 2, 2]] * 3, "network.strides: the first must be [1, 1, 1]"),
    "an even kernel": ("network.kernels", [[2, 3, 3]] * 3, "network.kernels: sizes must be odd"),
    "no steps": ("schedule.steps", 0, "schedule.steps: 0 is less than the minimum of 1"),
    "odds above one": ("slabs", 1.5, "slabs: 1.5 is greater than the maximum of 1"),
    "an unknown format": ("outputs", ["keras"], "outputs[0]: 'keras' is not one of"),
    "an unknown target": ("data.train.0.target", "toes", "data.train[0].target: 'toes' is not one of"),
    "a target without its canal": (
        "data.train.0.target",
        "vertebrae",
        "target: needs a map and the labels of the canal",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_configuration_is_refused_in_words_that_name_the_place(tmp_path: Path, fault: str) -> None:
    place, value, message = FAULTS[fault]
    with pytest.raises(UsageError) as caught:
        read_config(changed(tmp_path, place, value))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'training.json'}: ")


def test_only_one_structure_can_be_given_other_shapes(tmp_path: Path) -> None:
    data = content(tmp_path)
    data |= {"vary_shape": True, "classes": {"1": "Liver", "2": "Spleen"}}
    data["entry"]["output"]["channels"] = 3
    path = tmp_path / "training.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="vary_shape: is for trainings of one class; this one has 2"):
        read_config(path)


def test_patches_must_have_room_for_another_shape(tmp_path: Path) -> None:
    data = content(tmp_path)
    data["vary_shape"] = True
    data["entry"]["input"]["patch_size"] = [16, 32, 32]
    path = tmp_path / "training.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="vary_shape: needs a patch_size of at least 20 voxels along each axis"):
        read_config(path)


@pytest.mark.parametrize(("name", "value"), [("vary_shape", True), ("synthesis", 0.5), ("slabs", 0.1)])
def test_another_augmentation_is_another_training(tmp_path: Path, name: str, value: Any) -> None:
    data = content(tmp_path)
    data["entry"]["input"]["patch_size"] = [32, 32, 32]
    path = tmp_path / "training.json"
    path.write_text(json.dumps(data))
    config = read_config(path)
    path.write_text(json.dumps(data | {name: value}))
    other = read_config(path)

    assert getattr(other, name) == value
    assert fingerprint(other, Architecture(), "") != fingerprint(config, Architecture(), "")


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = changed(tmp_path, "classes", {})
    assert main(["train", "--config", str(path), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_shares_are_at_most_one_together(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    data = content(tmp_path)
    for row in data["data"]["train"]:
        row["share"] = 0.6
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="the shares are more than 1 together"):
        read_config(path)


def test_paths_are_relative_to_the_file_and_may_name_variables(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.file("ct1.nii.gz") == config.path.parent / "ct1.nii.gz"
    (tmp_path / "x.nii").touch()
    monkeypatch.setenv("SOME_DATA", str(tmp_path))
    assert config.file("$SOME_DATA/x.nii") == tmp_path / "x.nii"
    monkeypatch.delenv("SOME_DATA")
    with pytest.raises(UsageError, match=r"\$SOME_DATA/x\.nii: that environment variable is not set"):
        config.file("$SOME_DATA/x.nii")
    with pytest.raises(UsageError, match="does not exist"):
        config.file("y.nii")


def test_the_format_of_the_entry_is_always_written(tmp_path: Path) -> None:
    assert read_config(changed(tmp_path, "outputs", ["nnunetv2"])).outputs == ("onnx", "nnunetv2")
    assert set(read_config(changed(tmp_path, "entry", ball_entry(runtime="torch"))).outputs) == set(FORMATS)


@pytest.mark.parametrize("name", ["liver-ct-demo", "vertebra-ct-demo"])
def test_the_configurations_of_the_bundled_models_are_those_of_the_registry(name: str) -> None:
    config = read_config(resources_folder() / "training" / f"{name}.json")
    registry = json.loads((resources_folder() / "registry.json").read_text(encoding="utf-8"))
    (entry,) = (entry for entry in registry["models"] if entry["id"] == name)
    assert config.data["entry"]["input"] == entry["input"]
    assert config.data["entry"]["output"] == entry["output"]
