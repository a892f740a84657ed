"""Adding ONNX and torch files: what is found in them, what is asked, and that they then run as they are."""

import json
import re

import factories
import numpy as np
import onnx
import onnxruntime
import own_models
import pytest
import torch
from own_models import refusal, written
from tools import nativedl

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.models.add.install import user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions
from NativeDLLib.registry import load_models
from NativeDLLib.source import Series

THRESHOLD = 150.5


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

    model = own_models.add_model(tmp_path / "own.pth", own_models.answers(), architecture=architecture)

    labels = own_models.labels_of_run(series, model.id, tmp_path / "out")
    expected = own_models.own_labels(direct("pt2", None, voxels))
    np.testing.assert_array_equal(labels, expected)
    assert model.architecture == description


def test_what_the_file_says_is_filled_in_and_the_rest_is_missing(tmp_path):
    onnx_draft = read_source(factories.threshold_onnx(tmp_path / "a.onnx", 1))
    torch_draft = read_source(factories.threshold_pt2(tmp_path / "a.pt2", 1))

    missing = [question.place for question in questions(torch_draft)]
    torch_draft.put(("input", "axes"), "xyz")
    assert torch_draft.entry["input"]["patch_size"] == [16, 16, 16]
    assert torch_draft.entry["output"]["channels"] == onnx_draft.entry["output"]["channels"] == 2
    assert missing == [
        ("title",),
        ("license",),
        ("intended_use",),
        ("input", "modality"),
        ("input", "body_parts"),
        ("input", "keywords"),
        ("input", "axes"),
        ("input", "orientation"),
        ("input", "spacing"),
        ("input", "intensity"),
        ("output", "activation"),
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

    assert own_models.add_model(path, {}).title == "Bright block"
    assert own_models.add_model(tmp_path / "b.pt2", {"title": "Mine"}).title == "Mine"
    assert set(load_models()) >= {"a", "b"}


@pytest.mark.parametrize(
    "hints", ["[1]", "{", '{"weights": {"file": "../../etc/passwd"}}', '{"output": {"channels": 9}}']
)
def test_answers_in_a_file_that_are_none_are_refused(tmp_path, hints):
    path = with_metadata(factories.threshold_onnx(tmp_path / "a.onnx", 1), hints)

    assert "nativedl.json" in refusal((ModelError, UsageError), path)


def test_weights_alone_ask_for_their_network(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\0" * 16)

    assert "holds weights without a network" in refusal(UsageError, tmp_path / "a.safetensors")


def test_a_name_that_is_not_utf8_is_copied_under_one_that_is(tmp_path):
    import os

    name = os.fsdecode(b"net-\xff\x1b[31m.onnx")
    path = factories.threshold_onnx(tmp_path / "a.onnx", THRESHOLD).rename(tmp_path / name)

    model = own_models.add_model(path, own_models.answers())

    assert model.id == "net-31m"
    assert model.weights.place.endswith("/weights.onnx")
    user_registry().read_text(encoding="utf-8")


JUNK = (
    "",
    ",",
    "a",
    "a b c d e",
    "1 2",
    "1 2 3 4 5",
    "nan inf 1",
    "1e999 1 1",
    "[]",
    "{}",
    "\0",
    "-1 -1 -1",
    "x" * 2000,
    "9" * 400,
)


@pytest.mark.parametrize("text", JUNK, ids=range(len(JUNK)))
def test_an_answer_that_cannot_be_is_met_with_words_of_this_library(tmp_path, text):
    draft = read_source(factories.threshold_onnx(tmp_path / "a.onnx", 1))
    draft.put(("output", "activation"), "sigmoid")
    asked = questions(draft)

    assert len(asked) > 12
    said = []
    for question in asked:
        try:
            question.answer(text)
        except ValueError as error:
            said.append(str(error))
    assert not [words for words in said if re.search(r"unpack|convert|index|NoneType|digits|\^|\\Z|\n", words)]
    assert all(len(words) < 300 for words in said)
