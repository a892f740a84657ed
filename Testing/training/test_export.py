from __future__ import annotations

import os
import pickletools
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import SimpleITK as sitk
import torch
from trainings import ball, image_of

from NativeDLLib.core.files import sha256
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.engine import load_engine
from NativeDLLib.inference.network import Network
from NativeDLLib.inference.onnx_runtime import load_onnx
from NativeDLLib.inference.sliding_window import WindowSettings, sliding_window
from NativeDLLib.inference.torch_runtime import load_torch
from NativeDLLib.registry.load import make_model
from NativeDLLib.registry.weights import Weights
from NativeDLLib.training.cases import read_cases
from NativeDLLib.training.config import Config
from NativeDLLib.training.export import FOLDER, export, write_results_folder
from NativeDLLib.training.loop import train

PATCH = (16, 16, 16)


@pytest.fixture(scope="module")
def network(config: Config, tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    """A network that has learnt a little, so that its output is not the same everywhere."""
    assert config.architecture is not None
    torch.manual_seed(0)
    cases, odds = read_cases(config, Progress())
    folder = tmp_path_factory.mktemp("network")
    return train(config.architecture.build(2), cases, odds, config, training="", folder=folder)


@pytest.fixture(scope="module")
def files(network: torch.nn.Module, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the three formats."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("ball.onnx", "ball.pt2"):
        assert export(network, PATCH, folder / name) < 1e-4
    assert config.architecture is not None
    write_results_folder(network, config.architecture, config, 2, folder / FOLDER)
    return folder


def loaded(files: Path, name: str, config: Config) -> Network:
    if name == FOLDER:
        data = dict(config.data["entry"]) | {"runtime": "nnunetv2", "weights": {"folder": FOLDER}}
        model = make_model(data, files / "registry.json")
        return load_engine(model, Weights(model, files / FOLDER), "cpu").networks[0]
    load, path = load_onnx if name.endswith("onnx") else load_torch, files / name
    return load(path.read_bytes(), path, "cpu", 2).network


@pytest.mark.parametrize("name", ["ball.onnx", "ball.pt2", FOLDER])
@pytest.mark.parametrize("batch", [1, 3])
def test_each_format_gives_the_logits_of_the_network(
    network: torch.nn.Module, files: Path, config: Config, name: str, batch: int
) -> None:
    image = torch.randn(batch, 1, *PATCH, generator=torch.Generator().manual_seed(batch))
    with torch.inference_mode():
        expected = network(image).numpy()
    assert expected.std() > 0.1
    assert np.abs(loaded(files, name, config)(image.numpy()) - expected).max() < 1e-4


def test_nnunets_own_command_gives_our_labels(files: Path, config: Config, tmp_path: Path) -> None:
    hu, _ = ball(5, (26, 36, 40))
    image = image_of(hu)
    (tmp_path / "in").mkdir()
    sitk.WriteImage(image, tmp_path / "in" / "case_0000.nii.gz")
    program = Path(sys.executable).with_name("nnUNetv2_predict_from_modelfolder")
    assert program.is_file()
    options = ["-f", "0", "-device", "cpu", "--disable_tta", "-npp", "1", "-nps", "1"]
    result = subprocess.run(
        [program, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", files / FOLDER, *options],
        capture_output=True, text=True, check=False, env=os.environ | {"nnUNet_results": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case.nii.gz")))

    data = dict(config.data["entry"]) | {"weights": {"file": "ball.onnx", "sha256": sha256(files / "ball.onnx")}}
    model = make_model(data, files / "registry.json")
    engine = load_engine(model, Weights(model, files / "ball.onnx"), "cpu")
    prepared = engine.prepare(image)
    ours = engine.restore(sliding_window(prepared, engine.networks, WindowSettings(PATCH), Progress()), prepared)
    assert 0.01 < ours.mean() < 0.99
    assert (theirs == ours).mean() >= 0.995


def test_the_onnx_file_is_one_file_with_named_tensors(files: Path) -> None:
    model = onnx.load(str(files / "ball.onnx"))
    assert [tensor.name for tensor in model.graph.input] == ["image"]
    assert [tensor.name for tensor in model.graph.output] == ["logits"]
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {path.name for path in files.iterdir()} == {"ball.onnx", "ball.pt2", FOLDER}


def test_files_hold_each_weight_once(network: torch.nn.Module, files: Path) -> None:
    weights = 4 * sum(value.numel() for value in network.parameters())
    for name in ("ball.onnx", "ball.pt2"):
        # What else is in them grows with the number of layers and not with that of the weights.
        assert weights < (files / name).stat().st_size + 2000
        assert (files / name).stat().st_size < weights + 250_000


def is_pickle(content: bytes) -> bool:
    """Whether unpickling would get to the end; the first bytes alone may be those of a number."""
    try:
        *_, (last, _, position) = pickletools.genops(content)
    except ValueError:
        return False
    return last.name == "STOP" and position == len(content) - 1


def test_the_torch_archive_holds_no_pickle(files: Path) -> None:
    with zipfile.ZipFile(files / "ball.pt2") as archive:
        for name in archive.namelist():
            assert not name.endswith(".pkl")
            assert not is_pickle(archive.read(name))
            if name.endswith("model.pt"):
                assert archive.read(name) == b""


def test_the_checkpoint_of_the_folder_needs_no_unpickling(files: Path) -> None:
    checkpoint = torch.load(files / FOLDER / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
