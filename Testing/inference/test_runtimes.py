import os
import subprocess
import sys

import factories
import numpy as np
import onnx
import pytest
from conftest import ROOT

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.inference.device import check_device
from NativeDLLib.inference.network import require
from NativeDLLib.inference.onnx_runtime import load_onnx
from NativeDLLib.inference.torch_runtime import load_torch

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

BATCH = np.random.default_rng(0).normal(size=(1, 1, 16, 16, 16)).astype(np.float32)


def expected(threshold):
    return np.concatenate([np.zeros_like(BATCH), BATCH - threshold], axis=1)


def onnx_network(folder, device="cpu", classes=2):
    path = factories.threshold_onnx(folder / "m.onnx", 0.5)
    return load_onnx(path.read_bytes(), path, device, classes)


def torch_network(folder, device="cpu", classes=2):
    path = factories.threshold_pt2(folder / "m.pt2", 0.5)
    return load_torch(path.read_bytes(), path, device, classes)


@pytest.mark.parametrize("device", ["cpu", "auto"])
@pytest.mark.parametrize("load", [onnx_network, torch_network])
def test_every_kind_of_file_gives_the_same_logits(tmp_path, load, device):
    network = load(tmp_path, device).network

    np.testing.assert_allclose(network(BATCH), expected(0.5), atol=1e-6)
    chosen = "cuda" if load is torch_network and device == "auto" and torch.cuda.is_available() else "cpu"
    assert network.device.startswith(chosen)


@pytest.mark.parametrize("axes", [3, 2])
def test_an_onnx_network_with_its_channels_last_gives_what_it_gives_with_them_second(tmp_path, axes):
    weight = np.random.default_rng(1).normal(size=(3, 1, *[3] * axes)).astype(np.float32)
    sizes, networks = ["z", "y", "x"][-axes:], []
    second, last = list(range(axes + 2)), [0, *range(2, axes + 2), 1]
    for order, back in ((second, second), (last, [0, axes + 1, *range(1, axes + 1)])):
        nodes = [
            onnx.helper.make_node("Transpose", ["image"], ["turned"], perm=back),
            onnx.helper.make_node("Conv", ["turned", "w"], ["found"], pads=[1] * 2 * axes),
            onnx.helper.make_node("Transpose", ["found"], ["logits"], perm=order),
        ]
        shapes = [[["n", channels, *sizes][axis] for axis in order] for channels in (1, 3)]
        described = [
            onnx.helper.make_tensor_value_info(*row) for row in zip(["image", "logits"], [1, 1], shapes, strict=True)
        ]
        graph = onnx.helper.make_graph(
            nodes, "g", described[:1], described[1:], [onnx.numpy_helper.from_array(weight, "w")]
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
        networks.append(load_onnx(model.SerializeToString(), tmp_path / "a.onnx", "cpu", 3).network)

    results = [network(BATCH) for network in networks]
    assert results[0].shape == (1, 3, 16, 16, 16)
    np.testing.assert_allclose(results[0], results[1], atol=1e-4)


@pytest.mark.parametrize("word", ["gpu", "cuda:x", "cuda:-1", "", "CPU", "cuda:123"])
def test_an_unknown_device_is_refused(word):
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        check_device(word)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("word", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_and_not_replaced(tmp_path, word):
    with pytest.raises(ModelError, match="use auto or cpu"):
        onnx_network(tmp_path, word)
    with pytest.raises(ModelError, match="use auto or cpu"):
        torch_network(tmp_path, word)


def test_a_gpu_that_the_runtimes_cannot_use_is_mentioned(tmp_path, monkeypatch):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if torch.cuda.is_available():
        pytest.skip("this machine's GPU can be used")

    assert "cannot use it" in torch_network(tmp_path, "auto").warnings[0]
    assert "without CUDA" in onnx_network(tmp_path, "auto").warnings[0]


def test_too_few_classes_are_named(tmp_path):
    network = torch_network(tmp_path, classes=5).network

    with pytest.raises(ModelError, match="at least 5 classes"):
        network(BATCH)


def test_values_that_are_not_finite_are_refused(tmp_path):
    program = torch.export.export(torch.nn.Threshold(0, float("nan")), (torch.from_numpy(BATCH),))
    torch.export.save(program, tmp_path / "m.pt2")
    network = load_torch((tmp_path / "m.pt2").read_bytes(), tmp_path, "cpu", 1).network

    with pytest.raises(ModelError, match="not finite"):
        network(BATCH)


@pytest.mark.parametrize("load", [load_torch, load_onnx])
def test_a_file_that_is_no_network_is_refused(tmp_path, load):
    path = tmp_path / "m.bin"
    path.write_bytes(b"nothing of the kind" * 100)

    with pytest.raises(ModelError, match=r"m\.bin"):
        load(path.read_bytes(), path, "cpu", 2)


@pytest.mark.parametrize("load", [torch_network, onnx_network])
def test_a_patch_that_the_network_cannot_take_is_reported(tmp_path, load):
    network = load(tmp_path).network

    with pytest.raises(ModelError, match=r"cannot run .*on cpu"):
        network(np.zeros((1, 3, 16, 16, 16), np.float32))


def test_a_missing_runtime_says_how_to_install_it():
    with pytest.raises(ModelError, match="needs a_runtime_that_is_not_there, which cannot be imported") as caught:
        require("a_runtime_that_is_not_there", "torch")
    assert caught.value.hint == "install it with: pip install 'NativeDL[torch]'"


def test_a_damaged_pt2_is_refused(tmp_path):
    path = factories.threshold_pt2(tmp_path / "m.pt2", 0.5)
    content = bytearray(path.read_bytes())
    for position in range(200, len(content), 997):
        content[position] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"m\.pt2"):
        load_torch(path.read_bytes(), path, "cpu", 2)


def test_onnxruntime_leaves_no_trace_of_a_report_to_its_makers(tmp_path):
    # Once it is set up for reporting it keeps a number of the session there.
    surroundings = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    surroundings |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    code = "import NativeDLLib.inference.onnx_runtime as own; own.require('onnxruntime', 'onnx').get_device()"

    subprocess.run([sys.executable, "-c", code], env=surroundings, cwd=ROOT, check=True)

    assert list(tmp_path.rglob("*")) == []
