"""Files that nobody should add: refused in one line, and nothing in them runs."""

import re

import factories
import numpy as np
import onnx
import pytest
import torch
from own_models import refusal, written

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.inference.onnx_runtime import load_onnx
from NativeDLLib.models.add.model_files import read_source


def test_a_truncated_onnx_file_is_refused(tmp_path):
    path = factories.threshold_onnx(tmp_path / "a.onnx", 1)
    path.write_bytes(path.read_bytes()[:-40])

    assert "is damaged, or no ONNX file" in refusal(ModelError, path)


def one_node(path, domain="", operator="Conv", shape=("n", 1, "z", "y", "x"), weight=None):
    raw = np.ones((2, 1, 1, 1, 1), np.float32) if weight is None else weight
    node = onnx.helper.make_node(operator, ["image", "w"], ["logits"], domain=domain)
    described = [onnx.helper.make_tensor_value_info(name, 1, shape) for name in ("image", "logits")]
    graph = onnx.helper.make_graph([node], "g", described[:1], described[1:], [onnx.numpy_helper.from_array(raw, "w")])
    opsets = [onnx.helper.make_opsetid("", 17)] + ([onnx.helper.make_opsetid(domain, 1)] if domain else [])
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    onnx.save(model, path)
    return path


def test_an_onnx_file_with_operators_of_its_own_is_refused(tmp_path):
    assert "this version does not know" in refusal(ModelError, one_node(tmp_path / "a.onnx", "evil", "Run"))


def test_an_onnx_file_that_leads_to_other_files_never_runs_even_where_they_are(tmp_path, monkeypatch):
    model = onnx.load(one_node(tmp_path / "a.onnx"))
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, size_threshold=0, location="b.bin")
    monkeypatch.chdir(tmp_path)

    assert (tmp_path / "b.bin").is_file()
    with pytest.raises(ModelError, match="keeps weights in other files"):
        load_onnx((tmp_path / "b.onnx").read_bytes(), tmp_path / "b.onnx", "cpu", 1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (("n", 17, "z", "y", "x"), "takes 17 channels; 1 to 16 can be run"),
        (("n", 1, "y"), "takes 3 axes"),
        ((4, 1, 16, 16, 16), "takes batches of 4"),
        ((1, 1, 100000, 100000, 100000), "takes patches of"),
    ],
)
def test_a_network_that_a_series_cannot_feed_is_refused(tmp_path, shape, message):
    weight = np.ones((2, shape[1], *[1] * (len(shape) - 2)), np.float32)

    assert message in refusal(ModelError, one_node(tmp_path / "a.onnx", shape=shape, weight=weight))


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.pt2", "a.ts"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_with_the_way_out_and_never_runs(tmp_path, name, zipped):
    target = tmp_path / "ran"
    torch.save(Payload(target), tmp_path / name, _use_new_zipfile_serialization=zipped)
    architecture = written(tmp_path / "network.json", {"schema_version": "1.0"})

    message = refusal(ModelError, tmp_path / name)
    assert "pickled network" in message
    assert "torch.export.save" in message
    refusal(ModelError, tmp_path / name, architecture=architecture)
    assert not target.exists()


def test_a_pickle_in_place_of_weights_with_a_right_description_never_runs(tmp_path):
    target = tmp_path / "ran"
    torch.save({"layers.0.weight": Payload(target)}, tmp_path / "a.pth")
    layer = {"type": "convolution", "filters": 2, "kernel_size": 1}
    description = {"schema_version": "1.0", "input_shape": [1, 8, 8, 8], "architecture": [layer]}
    architecture = written(tmp_path / "network.json", description)

    assert "its weights cannot be read" in refusal(ModelError, tmp_path / "a.pth", architecture=architecture)
    assert not target.exists()


def test_torchscript_is_refused_with_the_way_out(tmp_path):
    torch.jit.save(torch.jit.script(factories.threshold_module(1)), tmp_path / "a.ts")

    message = refusal(ModelError, tmp_path / "a.ts")
    assert (
        "is TorchScript, which is code and is not run; export the network it was made of with torch.export" in message
    )


@pytest.mark.parametrize("name", ["a.onnx", "a.pt2", "a.pth"])
def test_bytes_that_are_nothing_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00nothing" * 50)

    refusal(ModelError, tmp_path / name)


FOREIGN = re.compile(r"Error\b|Exception|ONNXRuntime|size mismatch|state_dict|zip\(\)|aten::|\^\[|\bat 0x|\n")


@pytest.mark.parametrize("kind", ["onnx", "pt2", "pth"])
def test_what_is_said_of_a_damaged_file_is_in_words_of_this_library(tmp_path, kind):
    rng, path, options = np.random.default_rng(0), tmp_path / f"a.{kind}", {}
    if kind == "pth":
        layer = {"type": "convolution", "filters": 2, "kernel_size": 1}
        description = {"schema_version": "1.0", "input_shape": [1, 16, 16, 16], "architecture": [layer]}
        options["architecture"] = written(tmp_path / "a.json", description)
        torch.save({"layers.0.weight": torch.ones(2, 1, 1, 1, 1), "layers.0.bias": torch.zeros(2)}, path)
    else:
        getattr(factories, f"threshold_{kind}")(path, 1)
    content, said = path.read_bytes(), set()
    for _ in range(60):
        damaged = bytearray(content[: rng.integers(1, len(content))] if rng.random() < 0.3 else content)
        for place in rng.integers(0, len(damaged), 12):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_source(path, **options)
        except NativeDLError as error:
            said.add(str(error))

    assert said
    assert not [message for message in said if FOREIGN.search(message)]
    assert all(str(path) in message for message in said)
