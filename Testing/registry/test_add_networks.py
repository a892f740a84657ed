"""Adding ONNX and torch files: what is found in them, what is asked, and that they then run as they are."""

import json

import factories
import numpy as np
import onnx
import onnxruntime
import own_models
import pytest
import torch
from tools import nativedl

from NativeDLLib.dicom import Series
from NativeDLLib.errors import ModelError, UsageError
from NativeDLLib.registry import load_models
from NativeDLLib.registry.adding import add_model, questions, read_source, user_registry

THRESHOLD = 150.5


def written(path, data):
    path.write_text(json.dumps(data))
    return path


def refusal(error, *arguments, **options):
    with pytest.raises(error) as caught:
        read_source(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def series(tmp_path):
    factories.ct_series(tmp_path / "series")
    return tmp_path / "series"


@pytest.fixture
def voxels(series):
    return Series.read([series]).image()[0]


def batch(image):
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(image).astype(np.float32)[None, None]


def network_file(kind, folder):
    if kind == "onnx":
        return factories.threshold_onnx(folder / "Own Net.onnx", THRESHOLD)
    return factories.threshold_pt2(folder / "Own Net.pt2", THRESHOLD)


def direct(kind, path, image):
    if kind == "onnx":
        return onnxruntime.InferenceSession(str(path)).run(None, {"image": batch(image)})[0]
    return factories.threshold_module(THRESHOLD)(torch.from_numpy(batch(image))).detach().numpy()


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_an_added_network_is_checked_shown_and_gives_the_labels_it_gives_by_itself(
    tmp_path, series, voxels, capsys, kind
):
    path = network_file(kind, tmp_path)
    given = written(tmp_path / "answers.json", own_models.answers())

    assert nativedl("models", "add", path, "--answers", given) == 0
    printed = capsys.readouterr().out
    assert "label 1 'liver': 10200004 SCT Liver" in printed
    assert "own-net 1.0.0 is in" in printed
    path_before = path.read_bytes()
    expected = own_models.own_labels(direct(kind, path, voxels))
    path.unlink()

    assert nativedl("models", "check", user_registry()) == 0
    assert nativedl("models", "show", "own-net") == 0
    labels = own_models.labels_of_run(series, "own-net", tmp_path / "out")

    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(labels, expected)
    (copy,) = user_registry().parent.glob("weights/own-net/*/*")
    assert copy.read_bytes() == path_before
    assert not list(user_registry().parent.rglob(".partial*"))


def test_weights_without_a_network_are_added_with_its_description(tmp_path, series, voxels):
    size = [16, 16, 16]
    layer = {"type": "convolution", "filters": 2, "kernel_size": 1}
    description = {"schema_version": "1.0", "input_shape": [1, *size], "architecture": [layer]}
    architecture = written(tmp_path / "network.json", description)
    state = {f"layers.0.{name}": value for name, value in factories.threshold_module(THRESHOLD).state_dict().items()}
    torch.save(state, tmp_path / "own.pth")

    model = add_model(tmp_path / "own.pth", own_models.answers(), architecture=architecture)

    labels = own_models.labels_of_run(series, model.id, tmp_path / "out")
    expected = own_models.own_labels(direct("pt2", None, voxels))
    np.testing.assert_array_equal(labels, expected)
    assert model.architecture == description


def test_what_the_file_says_is_filled_in_and_the_rest_is_missing(tmp_path):
    onnx_draft = read_source(factories.threshold_onnx(tmp_path / "a.onnx", 1))
    torch_draft = read_source(factories.threshold_pt2(tmp_path / "a.pt2", 1))

    missing = [question.place for question in questions(torch_draft)]
    assert torch_draft.entry["input"]["patch_size"] == [16, 16, 16]
    assert torch_draft.entry["output"]["channels"] == onnx_draft.entry["output"]["channels"] == 2
    assert missing == [
        ("title",),
        ("license",),
        ("intended_use",),
        ("input", "modality"),
        ("input", "orientation"),
        ("input", "spacing"),
        ("input", "intensity"),
        ("output", "segments", 0, "name"),
        ("output", "segments", 0, "type"),
        ("output", "segments", 0, "category"),
        ("output", "segments", 0, "color"),
    ]
    assert ("input", "patch_size") in [question.place for question in questions(onnx_draft)]


def with_metadata(path, hints):
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"nativedl.json": hints})
    onnx.save(model, path)
    return path


def test_a_file_may_carry_its_own_answers(tmp_path):
    path = with_metadata(factories.threshold_onnx(tmp_path / "a.onnx", THRESHOLD), json.dumps(own_models.answers()))
    program = torch.export.export(factories.threshold_module(THRESHOLD), (torch.zeros(1, 1, 16, 16, 16),))
    torch.export.save(program, tmp_path / "b.pt2", extra_files={"nativedl.json": json.dumps(own_models.answers())})

    assert add_model(path, {}).title == "Bright block"
    assert add_model(tmp_path / "b.pt2", {"title": "Mine"}).title == "Mine"
    assert set(load_models()) >= {"a", "b"}


@pytest.mark.parametrize(
    "hints", ["[1]", "{", '{"weights": {"file": "../../etc/passwd"}}', '{"output": {"channels": 9}}']
)
def test_answers_in_a_file_that_are_none_are_refused(tmp_path, hints):
    path = with_metadata(factories.threshold_onnx(tmp_path / "a.onnx", 1), hints)

    assert "nativedl.json" in refusal((ModelError, UsageError), path)


def test_a_truncated_onnx_file_is_refused(tmp_path):
    path = factories.threshold_onnx(tmp_path / "a.onnx", 1)
    path.write_bytes(path.read_bytes()[:-40])

    assert "onnxruntime cannot load it" in refusal(ModelError, path)


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
    assert "not a registered" in refusal(ModelError, one_node(tmp_path / "a.onnx", "evil", "Run"))


def test_an_onnx_file_that_leads_to_other_files_is_refused_even_where_they_are(tmp_path, monkeypatch):
    model = onnx.load(one_node(tmp_path / "a.onnx"))
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, size_threshold=0, location="b.bin")
    monkeypatch.chdir(tmp_path)

    assert (tmp_path / "b.bin").is_file()
    assert "keeps weights in other files" in refusal(ModelError, tmp_path / "b.onnx")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (("n", 3, "z", "y", "x"), "takes 3 channels; a series gives one"),
        (("n", 1, "y", "x"), "takes 4 axes"),
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


def test_a_pickle_among_the_weights_of_a_pt2_is_refused_and_never_runs(tmp_path):
    import pickle
    import zipfile

    target = tmp_path / "ran"
    path = factories.threshold_pt2(tmp_path / "a.pt2", 1)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "b.pt2", "w") as hostile:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("weights_config.json"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true')
                assert b'"use_pickle": true' in content
            hostile.writestr(name, pickle.dumps(Payload(target)) if "/weight_" in name else content)

    assert "pickled weights" in refusal(ModelError, tmp_path / "b.pt2")
    with pytest.raises(ModelError):
        add_model(tmp_path / "b.pt2", own_models.answers())
    assert not target.exists()


def test_torchscript_is_refused_with_the_way_out(tmp_path):
    torch.jit.save(torch.jit.script(factories.threshold_module(1)), tmp_path / "a.ts")

    message = refusal(ModelError, tmp_path / "a.ts")
    assert "is TorchScript, which is code; export the network with torch.export" in message


def test_weights_alone_ask_for_their_network(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\0" * 16)

    assert "--architecture FILE" in refusal(UsageError, tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["a.onnx", "a.pt2", "a.pth"])
def test_bytes_that_are_nothing_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00nothing" * 50)

    refusal(ModelError, tmp_path / name)


def test_a_name_that_is_not_utf8_is_copied_under_one_that_is(tmp_path):
    import os

    name = os.fsdecode(b"net-\xff\x1b[31m.onnx")
    path = factories.threshold_onnx(tmp_path / "a.onnx", THRESHOLD).rename(tmp_path / name)

    model = add_model(path, own_models.answers())

    assert model.id == "net-31m"
    assert model.weights["file"].endswith("/weights.onnx")
    user_registry().read_text(encoding="utf-8")
