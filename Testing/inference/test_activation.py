"""In what a network ends: it decides whether its channels are classes, and is read from the graph or asked."""

import json

import factories
import numpy as np
import onnx
import own_models
import pytest
import SimpleITK as sitk
import torch
from onnx import TensorProto, helper, numpy_helper
from own_models import refusal
from tools import nativedl

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.models.add.install import user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions
from NativeDLLib.source import Series

BRIGHT = 150.0
KEPT = ("Identity", "Cast", "Clip", "Transpose")
LAST = {"": torch.nn.Identity(), "sigmoid": torch.nn.Sigmoid(), "softmax": torch.nn.Softmax(1)}


def onnx_network(folder, *last, weights=(0.02, -0.02, 0.01)):
    """A network of a channel for what is bright, one for what is dark and one that is less sure, and its last steps."""
    weight = np.array(weights, np.float32).reshape(-1, 1, 1, 1, 1)
    bias = (-weight * BRIGHT).reshape(-1)
    nodes, value = [helper.make_node("Conv", ["x", "weight", "bias"], ["logits"])], "logits"
    for index, kind in enumerate(last):
        settings = {"Cast": {"to": 1}, "Transpose": {"perm": [0, 1, 2, 3, 4]}, "Softmax": {"axis": 1}}.get(kind, {})
        nodes.append(helper.make_node(kind, [value], [f"value{index}"], **settings))
        value = f"value{index}"
    shapes = [[1, 1, 16, 16, 16], [1, len(bias), 16, 16, 16]]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shapes[1])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    path = folder / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def pt2_network(folder, last):
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), LAST[last], torch.nn.Identity()).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 1, 16, 16, 16),)), folder / "network.pt2")
    return folder / "network.pt2", None


def described_network(folder, last):
    layers = [{"type": "convolution", "filters": 2, "kernel_size": 1}, *([{"type": last}] if last else [])]
    description = {"schema_version": "1.0", "input_shape": [1, 16, 16, 16], "architecture": layers}
    state = {"layers.0.weight": torch.ones(2, 1, 1, 1, 1), "layers.0.bias": torch.zeros(2)}
    torch.save(state, folder / "network.pth")
    return folder / "network.pth", own_models.written(folder / "network.json", description)


@pytest.mark.parametrize("kept", [(), KEPT])
@pytest.mark.parametrize(("last", "activation"), [("Sigmoid", "sigmoid"), ("Softmax", "softmax"), ("Tanh", None)])
def test_an_onnx_graph_tells_in_what_it_ends(tmp_path, kept, last, activation):
    draft = read_source(onnx_network(tmp_path, last, *kept))

    assert draft.entry["output"].get("activation") == activation
    asked = [question.place for question in questions(draft)]
    assert (("output", "activation") in asked) is (activation is None)
    assert len(draft.entry["output"]["segments"]) == (3 if activation == "sigmoid" else 2)


def test_a_softmax_without_its_background_is_asked_about(tmp_path):
    path = onnx_network(tmp_path, "Softmax")
    model = onnx.load(path)
    bounds = {"starts": [1], "ends": [3], "axes": [1]}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(row, np.int64), name) for name, row in bounds.items()
    )
    model.graph.node.append(helper.make_node("Slice", ["value0", *bounds], ["sliced"]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("sliced", TensorProto.FLOAT, [1, 2, 16, 16, 16]))
    onnx.save(model, path)

    assert ("output", "activation") in [question.place for question in questions(read_source(path))]


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("make", [pt2_network, described_network])
def test_a_torch_network_tells_in_what_it_ends(tmp_path, make, last):
    path, architecture = make(tmp_path, last)

    assert read_source(path, architecture=architecture).entry["output"].get("activation", "") == last


def names(*segments):
    rows = [own_models.OTHER | {"label": label, "name": name} for label, name in enumerate(segments, 1)]
    return own_models.answers(output={"segments": rows, "overlap": "largest"})


@pytest.fixture
def series(tmp_path):
    factories.ct_series(tmp_path / "series")
    return tmp_path / "series"


def values(series):
    return sitk.GetArrayFromImage(Series.read([series]).image()[0])


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize(("last", "threshold"), [(["Sigmoid"], 0.7), ([], 0.5)])
def test_channels_of_their_own_are_structures_above_their_threshold(tmp_path, series, last, threshold):
    given = names("bright", "dark", "unsure")
    given["output"] |= {"threshold": threshold, "activation": "sigmoid"}
    model = own_models.add_model(onnx_network(tmp_path, *last), given)

    labels = own_models.labels_of_run(series, model.id, tmp_path / "out")

    logits = (values(series) - BRIGHT) * np.float32(0.02)
    edge = np.log(threshold / (1 - threshold)) if last else threshold
    np.testing.assert_array_equal(labels, np.where(logits > edge, 1, np.where(-logits > edge, 2, 0)))
    assert {1, 2} <= {*np.unique(labels)}
    warnings = report_of(tmp_path / "out")["warnings"]
    assert any("are marked as several structures" in warning for warning in warnings)
    assert not any("does not say" in warning for warning in warnings)


def test_one_channel_is_one_structure(tmp_path, series):
    given = own_models.answers(output={"segments": [{"label": 1, "name": "liver"}]})
    model = own_models.add_model(onnx_network(tmp_path, "Sigmoid", weights=(0.02,)), given)

    labels = own_models.labels_of_run(series, model.id, tmp_path / "out")

    np.testing.assert_array_equal(labels, values(series) > BRIGHT)
    assert 0 < labels.mean() < 1
    assert model.threshold == 0.5


def test_one_channel_of_logits_is_asked_for_its_threshold_alone(tmp_path, series):
    path = onnx_network(tmp_path, weights=(0.02,))
    draft = read_source(path)
    asked = [question.place for question in questions(draft) if question.place[0] == "output"]
    assert ("output", "threshold") in asked
    assert ("output", "activation") not in asked
    assert ("output", "overlap") not in asked
    given = own_models.answers(output={"threshold": 0, "segments": [{"label": 1, "name": "liver"}]})

    model = own_models.add_model(path, given)

    labels = own_models.labels_of_run(series, model.id, tmp_path / "out")
    np.testing.assert_array_equal(labels, values(series) > BRIGHT)


@pytest.mark.parametrize("text", ["", ",", "a", "1 2", "inf", "2000"])
def test_a_threshold_that_is_no_number_is_asked_for_again(tmp_path, text):
    draft = read_source(onnx_network(tmp_path, weights=(0.02,)))
    (question,) = [question for question in questions(draft) if question.place == ("output", "threshold")]

    with pytest.raises(ValueError, match=r"number|maximum") as caught:
        question.answer(text)
    assert "could not convert" not in str(caught.value)
    assert question.answer("0.5") == 0.5


@pytest.mark.parametrize("said", [None, "softmax"])
def test_an_entry_that_takes_a_sigmoid_for_classes_is_never_run(tmp_path, series, said, capsys):
    model = own_models.add_model(onnx_network(tmp_path, "Sigmoid"), names("bright", "dark", "unsure"))
    data = json.loads(user_registry().read_text())
    output = data["models"][0]["output"]
    for name in ("activation", "threshold", "overlap"):
        del output[name]
    output |= {} if said is None else {"activation": said}
    user_registry().write_text(json.dumps(data))

    assert nativedl("run", "--input", series, "--model", model.id, "--output", tmp_path / "out") == 4
    assert "ends in a sigmoid" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_entry_that_does_not_say_is_run_as_classes_and_warned_of(tmp_path, series):
    model = own_models.add_model(factories.threshold_onnx(tmp_path / "a.onnx", BRIGHT), own_models.answers())
    data = json.loads(user_registry().read_text())
    del data["models"][0]["output"]["activation"]
    user_registry().write_text(json.dumps(data))

    own_models.labels_of_run(series, model.id, tmp_path / "out")

    assert any("whether the classes" in warning for warning in report_of(tmp_path / "out")["warnings"])


@pytest.mark.parametrize("overlap", ["nested", "keep", True])
def test_structures_that_overlap_are_refused_with_the_reason(tmp_path, overlap):
    given = names("tumour", "core", "edema")
    given["output"]["overlap"] = overlap

    with pytest.raises(UsageError, match="structures that overlap cannot be kept in one label map"):
        own_models.add_model(onnx_network(tmp_path, "Sigmoid"), given)


def test_what_the_graph_says_cannot_be_denied(tmp_path):
    given = names("bright", "dark", "unsure")
    given["output"]["activation"] = "softmax"

    with pytest.raises(UsageError, match=r"output.activation: the network says sigmoid, not softmax"):
        own_models.add_model(onnx_network(tmp_path, "Sigmoid"), given)


def test_a_network_that_decides_for_each_channel_is_refused(tmp_path):
    path = onnx_network(tmp_path, "ArgMax", "Cast")

    assert "gives 3 channels of labels; export it without its last step" in refusal(ModelError, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "sigmoid"}, "'threshold' is missing"),
        ({"threshold": 0.5}, "output.threshold: is not allowed here"),
        ({"activation": "softmax", "overlap": "largest"}, "output.overlap: is not allowed here"),
        ({"activation": "sigmoid", "threshold": 0.5, "channels": 3}, "output.overlap: is missing"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(tmp_path, change, message):
    from NativeDLLib.registry.load import load_registry

    entry = factories.entry()
    del entry["output"]["activation"]
    entry["output"] |= change

    with pytest.raises(ModelError, match=message):
        load_registry(factories.registry(tmp_path, entry))
