import json
import os
import subprocess
import sys
import zipfile

import factories
import numpy as np
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


def torchscript(path, module=None):
    torch.jit.trace(module or factories.threshold_module(0.5), torch.zeros(1, 1, 16, 16, 16)).save(str(path))
    return path


@pytest.mark.parametrize("kind", ["onnx", "pt2", "torchscript"])
def test_every_kind_of_file_gives_the_same_logits(tmp_path, kind):
    if kind == "onnx":
        loaded = load_onnx(factories.threshold_onnx(tmp_path / "m.onnx", 0.5), "cpu", 2)
    elif kind == "pt2":
        loaded = load_torch(factories.threshold_pt2(tmp_path / "m.pt2", 0.5), "cpu", 2)
    else:
        loaded = load_torch(torchscript(tmp_path / "m.pt"), "auto", 2)

    np.testing.assert_allclose(loaded.network(BATCH), expected(0.5), atol=1e-6)
    chosen = "cuda" if kind == "torchscript" and torch.cuda.is_available() else "cpu"
    assert loaded.network.device.startswith(chosen)


@pytest.mark.parametrize("word", ["gpu", "cuda:x", "cuda:-1", "", "CPU", "cuda:123"])
def test_an_unknown_device_is_refused(word):
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        check_device(word)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("word", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_and_not_replaced(tmp_path, word):
    onnx_file = factories.threshold_onnx(tmp_path / "m.onnx", 0.5)
    script = torchscript(tmp_path / "m.pt")

    with pytest.raises(ModelError, match="use auto or cpu"):
        load_onnx(onnx_file, word, 2)
    with pytest.raises(ModelError, match="use auto or cpu"):
        load_torch(script, word, 2)


def test_a_gpu_that_the_runtimes_cannot_use_is_mentioned(tmp_path, monkeypatch):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if torch.cuda.is_available():
        pytest.skip("this machine's GPU can be used")

    assert "cannot use it" in load_torch(torchscript(tmp_path / "m.pt"), "auto", 2).warnings[0]
    assert "without CUDA" in load_onnx(factories.threshold_onnx(tmp_path / "m.onnx", 0.5), "auto", 2).warnings[0]


def test_too_few_classes_are_named(tmp_path):
    network = load_torch(torchscript(tmp_path / "m.pt"), "cpu", 5).network

    with pytest.raises(ModelError, match="at least 5 classes"):
        network(BATCH)


def test_values_that_are_not_finite_are_refused(tmp_path):
    network = load_torch(torchscript(tmp_path / "m.pt", torch.nn.Threshold(0, float("nan"))), "cpu", 1).network

    with pytest.raises(ModelError, match="not finite"):
        network(BATCH)


@pytest.mark.parametrize("load", [load_torch, load_onnx])
def test_a_file_that_is_no_network_is_refused(tmp_path, load):
    path = tmp_path / "m.bin"
    path.write_bytes(b"nothing of the kind" * 100)

    with pytest.raises(ModelError, match=r"m\.bin"):
        load(path, "cpu", 2)


@pytest.mark.parametrize("load", [load_torch, load_onnx])
def test_a_patch_that_the_network_cannot_take_is_reported(tmp_path, load):
    path = (
        factories.threshold_onnx(tmp_path / "m.onnx", 0.5)
        if load is load_onnx
        else factories.threshold_pt2(tmp_path / "m.pt2", 0.5)
    )
    network = load(path, "cpu", 2).network

    with pytest.raises(ModelError, match="cannot run on cpu"):
        network(np.zeros((1, 3, 16, 16, 16), np.float32))


def test_a_missing_runtime_says_how_to_install_it():
    with pytest.raises(ModelError, match="needs a_runtime_that_is_not_there, which cannot be imported") as caught:
        require("a_runtime_that_is_not_there", "torch")
    assert caught.value.hint == "install it with: pip install 'NativeDL[torch]'"


def rewritten(path, change):
    """Rewrite the model description inside a .pt2."""
    target = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("models/model.json"):
                data = json.loads(content)
                change(data)
                content = json.dumps(data).encode()
            copy.writestr(name, content)
    return target


def hostile_operator(data):
    data["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def file_reader(data):
    data["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def hostile_expression(data):
    data["graph_module"]["graph"]["sym_int_values"] = {
        "s0": {"as_expr": {"expr_str": "eval(chr(49))", "hint": {"as_int": 1}}}
    }


def guards(data):
    data["guards_code"] = ["__import__('os').system('true')"]


@pytest.mark.parametrize("change", [hostile_operator, file_reader, hostile_expression, guards])
def test_a_pt2_that_could_run_code_is_refused(tmp_path, change):
    path = rewritten(factories.threshold_pt2(tmp_path / "m.pt2", 0.5), change)

    with pytest.raises(ModelError, match=r"no need for|not a size|not run"):
        load_torch(path, "cpu", 2)


@pytest.mark.parametrize("member", ["m/data/aotinductor/model/x.so", "../escape.json", "m/code/run.py"])
def test_a_pt2_with_members_that_a_network_does_not_need_is_refused(tmp_path, member):
    path = factories.threshold_pt2(tmp_path / "m.pt2", 0.5)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, b"x")

    with pytest.raises(ModelError, match="has no need for"):
        load_torch(path, "cpu", 2)


class Exploit:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_pickles_in_a_pt2_are_not_executed(tmp_path):
    marker, evil = tmp_path / "executed", tmp_path / "evil.pt"
    torch.save(Exploit(marker), evil)
    path = factories.threshold_pt2(tmp_path / "m.pt2", 0.5)
    target = tmp_path / "changed.pt2"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, evil.read_bytes() if "sample_inputs" in name else source.read(name))

    with pytest.raises(ModelError, match="cannot load"):
        load_torch(target, "cpu", 2)

    assert not marker.exists()


def test_pickled_weights_in_a_pt2_are_refused(tmp_path):
    path = factories.threshold_pt2(tmp_path / "m.pt2", 0.5)
    target = tmp_path / "changed.pt2"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            copy.writestr(name, content.replace(b'"use_pickle": false', b'"use_pickle": true'))

    with pytest.raises(ModelError, match="pickled weights"):
        load_torch(target, "cpu", 2)


def test_a_damaged_pt2_is_refused(tmp_path):
    path = factories.threshold_pt2(tmp_path / "m.pt2", 0.5)
    content = bytearray(path.read_bytes())
    for position in range(200, len(content), 997):
        content[position] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"m\.pt2"):
        load_torch(path, "cpu", 2)


class Writing(torch.nn.Module):
    """A network that would write a file."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "written")
        return torch.cat([x, x], 1)


class Reading(torch.nn.Module):
    """A network that would read one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x + torch.from_file("/etc/hostname", False, 4, dtype=torch.uint8).sum()], 1)


@pytest.mark.parametrize("hostile", [Writing, Reading])
def test_torchscript_that_reads_or_writes_files_is_refused(tmp_path, monkeypatch, hostile):
    monkeypatch.chdir(tmp_path)
    torch.jit.script(hostile()).save(str(tmp_path / "m.pt"))

    with pytest.raises(ModelError, match="which a network has no need for"):
        load_torch(tmp_path / "m.pt", "cpu", 2)

    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("first", [60, 90, 200, 300])
def test_a_damaged_torchscript_file_is_refused(tmp_path, first):
    path = torchscript(tmp_path / "m.pt")
    content = bytearray(path.read_bytes())
    for position in range(first, len(content), 400):
        content[position] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"m\.pt"):
        load_torch(path, "cpu", 2)


def test_onnxruntime_leaves_no_trace_of_a_report_to_its_makers(tmp_path):
    # Once it is set up for reporting it keeps a number of the session there.
    surroundings = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    surroundings |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    code = "import NativeDLLib.inference.onnx_runtime as own; own.require('onnxruntime', 'onnx').get_device()"

    subprocess.run([sys.executable, "-c", code], env=surroundings, cwd=ROOT, check=True)

    assert list(tmp_path.rglob("*")) == []
