"""Several channels of a network's input: each is the one series in a window of its own, and never another series."""

import json

import factories
import numpy as np
import onnx
import own_models
import pytest
import SimpleITK as sitk
from onnx import TensorProto, helper, numpy_helper
from tools import nativedl

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.models.add.install import user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions, template
from NativeDLLib.source import Series

# The first channel is a narrow window, the second a wide one; label 1 is where the narrow one is the larger.
NARROW = {"clip": [-100, 100], "normalization": {"mean": 0, "std": 100}}
WIDE = {"clip": [-500, 500], "normalization": {"mean": 0, "std": 500}}
SAME = [{"name": "narrow", "intensity": NARROW}, {"name": "wide", "series": "same", "intensity": WIDE}]
PATCH = (4, 8, 16)


def network(folder, layout="NCDHW", channels=2, width=1):
    """A network whose label 1 is where its first channel, or the mean around a voxel, is above its second one."""
    slices, last = "D" not in layout, layout.endswith("C")
    sizes = PATCH[slices:]
    weight = np.zeros((2, channels, *[width] * len(sizes)), np.float32)
    weight[1, 0], weight[1, 1] = 1, -1
    there, back = [0, len(sizes) + 1, *range(1, len(sizes) + 1)], [0, *range(2, len(sizes) + 2), 1]
    shapes = [[1, *sizes, n] if last else [1, n, *sizes] for n in (channels, 2)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["image"], perm=there if last else list(range(len(there)))),
        helper.make_node("Conv", ["image", "weight"], ["given"], auto_pad="SAME_UPPER"),
        helper.make_node("Transpose", ["given"], ["y"], perm=back if last else list(range(len(there)))),
    ]
    x, y = (helper.make_tensor_value_info("xy"[n], TensorProto.FLOAT, shape) for n, shape in enumerate(shapes))
    graph = helper.make_graph(nodes, "network", [x], [y], [numpy_helper.from_array(weight, "weight")])
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def answers(channels=SAME, **given):
    result = own_models.answers()
    contract = {"spacing": [2.5, 1.5, 1.0], "patch_size": list(PATCH), "channels": channels, "intensity": None}
    result["input"] |= contract | given
    return result


@pytest.fixture
def values(tmp_path):
    voxels = np.random.default_rng(5).integers(-600, 600, (9, 11, 20), np.int16)
    factories.ct_series(tmp_path / "series", voxels, spacing=(1.0, 1.5, 2.5))
    return sitk.GetArrayFromImage(Series.read([tmp_path / "series"]).image()[0]).astype(np.float64)


def expected(values):
    return values.clip(-100, 100) / 100 > values.clip(-500, 500) / 500


@pytest.mark.parametrize("layout", ["NCDHW", "NDHWC", "NCHW", "NHWC"])
def test_each_channel_is_the_series_in_its_own_window(tmp_path, values, layout):
    model = own_models.add_model(network(tmp_path, layout), answers())

    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")

    assert (labels == expected(values)).mean() > 0.999  # where both are the same, rounding decides
    assert 0.2 < labels.mean() < 0.8


def test_channels_without_intensities_of_their_own_have_those_of_the_input(tmp_path, values):
    colours = [{"name": name, "series": "same"} for name in ("red", "green", "blue")]
    colours[0]["intensity"] = NARROW

    model = own_models.add_model(network(tmp_path, "NHWC", channels=3), answers(colours, intensity=WIDE))

    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")
    assert (labels == expected(values)).mean() > 0.999


def test_beyond_an_image_each_channel_is_air_in_its_own_window(tmp_path):
    # Two slices of nothing but 0: label 1 is next to air if that is -1 in the second channel, and not in the first.
    factories.ct_series(tmp_path / "series", np.zeros((2, 8, 16), np.int16), spacing=(1.0, 1.5, 2.5))
    air = {"clip": [-500, 500], "normalization": {"mean": -500, "std": 500}}
    level = {"clip": [0, 500], "normalization": {"mean": -500, "std": 500}}
    channels = [SAME[0] | {"intensity": level}, SAME[1] | {"intensity": air}]

    model = own_models.add_model(network(tmp_path, width=3), answers(channels))

    assert own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out").all()


def test_what_a_channel_shows_is_asked_and_a_template_with_its_answers_is_enough(tmp_path):
    draft = read_source(network(tmp_path))
    places = [question.place for question in questions(draft)]
    assert ("input", "channels", 0, "series") not in places
    assert ("input", "intensity") not in places
    for place in [("input", "channels", 0, "intensity"), ("input", "channels", 1, "series")]:
        assert place in places
    (asked,) = [question for question in questions(draft) if question.place == ("input", "channels", 1, "series")]
    with pytest.raises(ValueError, match="is not same"):
        asked.answer("other")
    draft.put(asked.place, asked.answer("same"))
    assert asked.place not in [question.place for question in questions(draft)]
    given = template(read_source(network(tmp_path)))
    assert given["input"]["channels"][1] == {"name": "channel 2", "series": None, "intensity": None}

    given = answers([row | own for row, own in zip(given["input"]["channels"], SAME, strict=True)])

    assert own_models.add_model(network(tmp_path), given).input.needs == ""


@pytest.mark.parametrize(
    ("channels", "told"),
    [
        (SAME[:1], "input.channels: the network takes 2"),
        ([*SAME, SAME[1]], "input.channels: the network takes 2"),
        ("two", "input.channels: the network takes 2"),
        ([SAME[0], {"name": "wide", "intensity": WIDE}], r"missing: input.channels\[1\].series"),
        ([SAME[0], SAME[1] | {"intensity": None}], r"missing: input.channels\[1\].intensity"),
    ],
)
def test_answers_that_do_not_fit_the_channels_are_refused(tmp_path, channels, told):
    with pytest.raises(UsageError, match=told):
        own_models.add_model(network(tmp_path), answers(channels))
    assert not user_registry().exists()


def test_a_channel_of_another_series_never_gets_the_same_one(tmp_path, values, capsys):
    model = own_models.add_model(network(tmp_path), answers())
    data = json.loads(user_registry().read_text())
    del data["models"][0]["input"]["channels"][1]["series"]
    user_registry().write_text(json.dumps(data))

    assert nativedl("run", "--input", tmp_path / "series", "--model", model.id, "--output", tmp_path / "out") == 4
    assert "needs 2 channels (narrow, wide), a series gives one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rules_of_channels_are_no_matter_of_nnunet(tmp_path):
    entry = factories.entry(runtime="nnunetv2", weights={"folder": "none"})
    entry["input"].pop("axes", None)
    entry["input"]["channels"][0]["series"] = "same"

    from NativeDLLib.registry.load import load_registry

    with pytest.raises(ModelError, match=r"input.channels\[0\]: series and intensity are for torch and onnx"):
        load_registry(factories.registry(tmp_path, entry))
