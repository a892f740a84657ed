"""Networks that decide labels themselves: labels are right in their places, and never averaged."""

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
from NativeDLLib.source import Series

# Of values, the class 0 is above -100, 1 from there, 2 above 150; 3 is never the largest.
WEIGHTS, BIASES = (0.0, 1.0, 2.0, 0.0), (0.0, 100.0, -50.0, -1000.0)
PATCH = (4, 8, 16)
TYPES = {"int32": TensorProto.INT32, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8, "float32": 1}


def expected(values):
    return np.digitize(values, [-100, 150], right=True)


def onnx_network(
    folder,
    kind="uint8",
    *,
    keep=1,
    layout="NCDHW",
    takes=TensorProto.FLOAT,
    sizes=PATCH,
    lines=(WEIGHTS, BIASES),
    width=1,
):
    """A network that chooses between lines of each voxel's value, or of the sum around it, of labels of a type."""
    slices, last = "D" not in layout, layout.endswith("C")
    sizes = list(sizes[slices:])
    weight = np.array(lines[0], np.float32).reshape(-1, *[1] * (1 + len(sizes)))
    weight = weight * np.ones([1, 1, *[width] * len(sizes)], np.float32)
    there, back = [0, len(sizes) + 1, *range(1, len(sizes) + 1)], [0, *range(2, len(sizes) + 2), 1]
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f"], ["image"], perm=there if last else list(range(len(there)))),
        helper.make_node("Conv", ["image", "weight", "bias"], ["given"], auto_pad="SAME_UPPER"),
        helper.make_node("Transpose", ["given"], ["logits"], perm=back if last else list(range(len(there)))),
        helper.make_node("ArgMax", ["logits"], ["best"], axis=-1 if last else 1, keepdims=keep),
        helper.make_node("Cast", ["best"], ["y"], to=TYPES[kind]),
    ]
    shapes = [[1, *sizes, 1] if last else [1, 1, *sizes], [1, *sizes]]
    shapes[1] = shapes[0] if keep else shapes[1]
    values = [
        helper.make_tensor_value_info("x", takes, shapes[0]),
        helper.make_tensor_value_info("y", TYPES[kind], shapes[1]),
    ]
    kept = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(np.array(lines[1], np.float32), "bias")]
    graph = helper.make_graph(nodes, "network", values[:1], values[1:], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "net.onnx")
    return folder / "net.onnx"


class Decides(torch.nn.Module):
    """The same network of torch."""

    def __init__(self, keep, kind):
        super().__init__()
        self.layer, self.keep, self.kind = torch.nn.Conv3d(1, len(WEIGHTS), 1), keep, kind
        self.layer.weight.data[:, 0, 0, 0, 0] = torch.tensor(WEIGHTS)
        self.layer.bias.data[:] = torch.tensor(BIASES)

    def forward(self, image):
        return self.layer(image).argmax(1, keepdim=self.keep).to(self.kind)


def pt2_network(folder, keep, kind, sizes=PATCH):
    program = torch.export.export(Decides(keep, kind).eval(), (torch.zeros(1, 1, *sizes),))
    torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"


def answers(**given):
    rows = [own_models.OTHER | {"label": label, "name": f"S{label}"} for label in (1, 2, 3)]
    result = own_models.answers(output={"segments": rows})
    result["input"] |= {"patch_size": list(PATCH), **given}
    return result


def series_of(folder, axes=factories.AXIAL):
    """Write a series of noise in blocks that patches cut, in its own orientation and spacing."""
    rough = np.random.default_rng(2).integers(-500, 500, (5, 7, 9), np.int16)
    voxels = rough.repeat(2, 0).repeat(3, 1).repeat(5, 2)
    factories.ct_series(folder, voxels, spacing=(1.0, 1.5, 2.5), axes=axes)
    return sitk.GetArrayFromImage(Series.read([folder]).image()[0])


NETWORKS = {
    **{
        f"ONNX of {kind}, keepdims {keep}": (onnx_network, (kind,), {"keep": keep}) for kind in TYPES for keep in (0, 1)
    },
    **{
        f"ONNX as {layout}, keepdims {keep}": (onnx_network, ("int64",), {"keep": keep, "layout": layout})
        for layout in ("NDHWC", "NCHW", "NHWC")
        for keep in (0, 1)
    },
    **{
        f"torch of {kind}, {keep}": (pt2_network, (keep, kind), {})
        for kind in (torch.int64, torch.uint8)
        for keep in (False, True)
    },
}


@pytest.mark.parametrize("network", NETWORKS)
def test_labels_of_a_network_are_those_of_the_voxels_in_their_places(tmp_path, network):
    make, arguments, options = NETWORKS[network]
    path = make(tmp_path, *arguments, **options)
    values = series_of(tmp_path / "series")
    spacing = {"spacing": [2.5, 1.5, 1.0]}

    model = own_models.add_model(path, answers(**spacing))

    assert model.activation == "labels"
    assert model.output_channels == len(WEIGHTS)
    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")
    np.testing.assert_array_equal(labels, expected(values))
    assert {*np.unique(labels)} == {0, 1, 2}


@pytest.mark.parametrize(
    "axes", [((0, 1, 0), (0, 0, -1)), ((0.8, 0.6, 0), (-0.48, 0.64, 0.6)), ((-1, 0, 0), (0, -1, 0))]
)
def test_labels_are_in_their_places_in_series_of_any_orientation(tmp_path, axes):
    path = onnx_network(tmp_path)
    values = series_of(tmp_path / "series", axes)
    image = Series.read([tmp_path / "series"]).image()[0]
    turned = sitk.DICOMOrient(image, "LPS")

    model = own_models.add_model(path, answers(spacing=list(turned.GetSpacing()[::-1])))

    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")
    np.testing.assert_array_equal(labels, expected(values))


def test_patches_and_grids_never_make_labels_that_no_patch_has(tmp_path):
    # Zeros around a patch take the label 2 from its border; label 1, between 0 and 2, is never given.
    path = onnx_network(tmp_path, sizes=(6, 6, 6), lines=((0.0, 0.0, 1.0, 0.0), (0.0, -1e4, -20.0, -1e4)), width=3)
    factories.ct_series(tmp_path / "series", np.ones((20, 21, 22), np.int16), spacing=(1.0, 1.0, 1.0))
    model = own_models.add_model(path, answers(spacing=[1.0, 1.0, 1.0], patch_size=[6, 6, 6]))

    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")

    assert {*np.unique(labels)} == {0, 2}
    assert (labels[1:-1, 1:-1, 1:-1] == 2).all()
    assert (labels[0] == 0).all()
    data = json.loads(user_registry().read_text())
    data["models"][0]["input"]["spacing"] = [1.3, 0.7, 1.6]
    user_registry().write_text(json.dumps(data))
    assert {*np.unique(own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "other"))} == {0, 2}


@pytest.mark.parametrize("kind", ["UINT8", "INT16", "FLOAT16", "DOUBLE"])
def test_a_network_is_given_numbers_of_the_type_that_it_takes(tmp_path, kind):
    path = onnx_network(tmp_path, takes=getattr(TensorProto, kind), lines=((0.0, 1.0), (0.0, -100.5)))
    intensity = {"clip": [-255, 255], "normalization": {"mean": -255, "std": 2}}  # 0 to 255
    values = series_of(tmp_path / "series")
    given = answers(spacing=[2.5, 1.5, 1.0], intensity=intensity)
    given["output"]["segments"] = given["output"]["segments"][:1]

    model = own_models.add_model(path, given)

    seen = (values.clip(-255, 255) + 255.0) / 2
    seen = np.rint(seen) if "INT" in kind else seen
    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")
    np.testing.assert_array_equal(labels, seen > 100.5)
    assert 0 < labels.mean() < 1


def test_values_that_the_type_of_the_network_cannot_hold_are_refused_when_it_is_added(tmp_path):
    path = onnx_network(tmp_path, takes=TensorProto.UINT8)

    with pytest.raises(ModelError, match=r"takes whole numbers from 0 to 255, and its entry's intensities lead to -\d"):
        own_models.add_model(path, answers())
    assert not user_registry().exists()


def test_labels_that_the_entry_does_not_have_end_the_run(tmp_path, capsys):
    model = own_models.add_model(onnx_network(tmp_path), answers(spacing=[2.5, 1.5, 1.0]))
    series_of(tmp_path / "series")
    data = json.loads(user_registry().read_text())
    data["models"][0]["output"] |= {"channels": 2, "segments": data["models"][0]["output"]["segments"][:1]}
    user_registry().write_text(json.dumps(data))

    assert nativedl("run", "--input", tmp_path / "series", "--model", model.id, "--output", tmp_path / "out") == 4
    assert "gives other values than the labels 0 to 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_of_which_nobody_can_tell_how_many_there_are_are_refused(tmp_path):
    path = onnx_network(tmp_path)
    model = onnx.load(path)
    model.graph.node[4].CopyFrom(helper.make_node("ReduceMax", ["logits", "axis"], ["best"], keepdims=1))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    onnx.save(model, path)

    assert "gives labels that no ArgMax decides; export it without its last step" in refusal(ModelError, path)


def test_what_the_graph_says_cannot_be_denied(tmp_path):
    given = answers()
    given["output"]["activation"] = "softmax"

    with pytest.raises(UsageError, match=r"output.activation: the network says labels, not softmax"):
        own_models.add_model(onnx_network(tmp_path), given)
