from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from NativeDLLib.training.evaluate import load
from NativeDLLib.training.export import export
from NativeDLLib.training.network import SmallUNet
from NativeDLLib.training.task import LIVER, VERTEBRAE

PATCH = (16, 32, 32)


@pytest.fixture(scope="module")
def network() -> SmallUNet:
    torch.manual_seed(0)
    return SmallUNet().eval()


@pytest.fixture(scope="module")
def files(network: SmallUNet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {task.name: export(network, replace(task, patch=PATCH), folder) for task in (LIVER, VERTEBRAE)}


@pytest.mark.parametrize("name", ["liver", "vertebra"])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_exported_model_agrees_with_the_network(
    network: SmallUNet, files: dict[str, Path], name: str, batch: int
) -> None:
    image = torch.randn(batch, 1, *PATCH, generator=torch.Generator().manual_seed(batch))
    with torch.inference_mode():
        expected = network(image).numpy()
    assert np.abs(load(files[name])(image.numpy()) - expected).max() < 1e-4


def test_the_onnx_file_is_one_file_with_named_tensors(files: dict[str, Path]) -> None:
    assert [path.name for path in files["liver"].parent.iterdir() if path.suffix != ".pt2"] == [files["liver"].name]
    model = onnx.load(str(files["liver"]))
    assert [tensor.name for tensor in model.graph.input] == ["image"]
    assert [tensor.name for tensor in model.graph.output] == ["logits"]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_each_file_has_at_most_four_megabytes(files: dict[str, Path]) -> None:
    assert max(path.stat().st_size for path in files.values()) <= 4_000_000


def test_the_torch_archive_holds_no_pickle(files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files["vertebra"]) as archive:
        for name in archive.namelist():
            assert not name.endswith(".pkl")
            assert not archive.read(name).startswith(b"\x80\x02")
            if name.endswith("model.pt"):
                assert archive.read(name) == b""


def test_the_torch_archive_loads_in_a_fresh_process_without_unpickling(files: dict[str, Path]) -> None:
    code = "import sys, torch; print(torch.export.load(sys.argv[1]).module()(torch.zeros(1, 1, 16, 32, 32)).shape)"
    environment = {**os.environ, "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code, str(files["vertebra"])],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert "[1, 2, 16, 32, 32]" in result.stdout, result.stderr
