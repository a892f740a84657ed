"""The order of the axes of a network's own array: it decides what the network sees, never where its mask lies."""

import itertools
import json

import factories
import numpy as np
import own_models
import pytest
import SimpleITK as sitk
import torch

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.engine import load_engine, window_settings
from NativeDLLib.inference.sliding_window import sliding_window
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions, template
from NativeDLLib.registry import effective
from NativeDLLib.registry.load import load_registry
from NativeDLLib.registry.weights import Weights

pytestmark = pytest.mark.slow

ORDERS = ["".join(letters) for letters in itertools.permutations("zyx")]
TURNS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "IS"))
    for letters in itertools.product(*axes)
]  # fmt: skip
PATCH = (5, 6, 7)
SPACING = (3.0, 2.0, 1.5)


def along(order, sizes):
    """Return what belongs to z, y and x in the order of a network's own axes."""
    return [sizes["zyx".index(letter)] for letter in order]


def lopsided(order):
    """A network that treats each axis, and each direction of it, otherwise; the same one for an array in this order."""
    generator = torch.Generator().manual_seed(3)
    layers = [torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv3d(4, 3, 3, padding=1)]
    for layer in (layers[0], layers[2]):
        weight = torch.randn(layer.weight.shape, generator=generator)
        layer.weight = torch.nn.Parameter(weight.permute(0, 1, *along(order, (2, 3, 4))).contiguous())
        layer.bias = torch.nn.Parameter(torch.zeros(len(layer.bias)))
    return torch.nn.Sequential(*layers).eval()


def exported(folder, order):
    """Return the file of such a network."""
    path = folder / f"{order}.pt2"
    program = torch.export.export(lopsided(order), (torch.zeros(1, 1, *along(order, PATCH)),))
    torch.export.save(program, path)
    return path


def model_of(folder, order, **window):
    path = exported(folder, order)
    weights = {"file": path.name, "sha256": factories.digest(path)}
    entry = factories.entry(weights=weights, runtime="torch", postprocessing=[], parameters=[], sliding_window=window)
    entry["output"]["channels"] = 3
    intensity = {"normalization": {"mean": 0, "std": 100}}
    entry["input"] |= {"axes": order, "patch_size": list(PATCH), "spacing": list(SPACING), "intensity": intensity}
    return load_registry(factories.registry(folder, entry))[0]


def labels_of(model, images):
    """Labels of each image, as images, by the path of a run."""
    engine = load_engine(model, Weights(model), "cpu")
    settings = window_settings(model, engine, effective(model))
    for image in images:
        prepared = engine.prepare(image)
        labels = engine.restore(sliding_window(prepared, engine.networks, settings, Progress()), prepared)
        result = sitk.GetImageFromArray(labels)
        result.CopyInformation(image)
        yield result


def noise(size, spacing=SPACING[::-1]):
    image = sitk.GetImageFromArray(np.random.default_rng(1).normal(0, 100, size).astype(np.float32))
    image.SetSpacing(spacing)
    return image


@pytest.mark.parametrize("order", ORDERS)
def test_a_network_sees_its_patch_in_the_order_of_its_own_axes(tmp_path, order):
    image = noise(PATCH)

    (labels,) = labels_of(model_of(tmp_path, order), [image])

    batch = torch.from_numpy(sitk.GetArrayFromImage(image).transpose(along(order, (0, 1, 2))).copy())[None, None] / 100
    own = lopsided(order)(batch)[0].argmax(0).numpy()
    back = own.transpose([order.index(letter) for letter in "zyx"])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(labels), back)
    assert len(np.unique(back)) == 3


@pytest.mark.parametrize("order", ORDERS)
def test_a_network_for_slices_sees_each_plane_along_its_first_axis(tmp_path, order):
    torch.manual_seed(4)
    network, sizes = torch.nn.Conv2d(1, 3, 3, padding=1).eval(), along(order, PATCH)
    torch.export.save(torch.export.export(network, (torch.zeros(1, 1, *sizes[1:]),)), tmp_path / "flat.pt2")
    given = own_models.answers()
    segments = [{"label": 1, "name": "liver"}, own_models.OTHER | {"name": "spleen"}]
    given["output"] = {"activation": "softmax", "segments": segments}
    planes = [n if letter != order[0] else 3 for n, letter in zip(PATCH, "zyx", strict=True)]
    given["input"] |= {"axes": order, "patch_size": planes, "spacing": list(SPACING)}
    image = noise(PATCH)

    (labels,) = labels_of(own_models.add_model(tmp_path / "flat.pt2", given), [image])

    array = torch.from_numpy(sitk.GetArrayFromImage(image).transpose(along(order, (0, 1, 2))).copy())
    own = network(array[:, None]).argmax(1).numpy()
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(labels), own.transpose([order.index(letter) for letter in "zyx"])
    )


@pytest.mark.parametrize("order", ["xyz", "yzx"])
def test_a_mask_stays_in_its_place_whatever_the_orders_of_network_and_image(tmp_path, order):
    image = noise((7, 8, 9), (1.4, 2.1, 3.2))
    window = {"mirror": True, "mirror_axes": [0, 2]}
    (expected,) = labels_of(model_of(tmp_path, "zyx", **window), [image])

    turned = labels_of(model_of(tmp_path, order, **window), [sitk.DICOMOrient(image, turn) for turn in TURNS])

    for turn, labels in zip(TURNS, turned, strict=True):
        back = sitk.GetArrayFromImage(sitk.DICOMOrient(labels, "LPS"))
        # Sums of convolutions are rounded in another order.
        assert (back == sitk.GetArrayFromImage(expected)).mean() > 0.999, turn
    assert len(TURNS) == 48


def test_an_entry_that_does_not_say_is_run_as_z_y_x_and_warned_of(tmp_path):
    model = model_of(tmp_path, "zyx")
    data = json.loads(model.registry.read_text())
    assert not load_engine(model, Weights(model), "cpu").warnings
    del data["models"][0]["input"]["axes"]
    model.registry.write_text(json.dumps(data))
    (silent,) = load_registry(model.registry)

    assert "in which order" in load_engine(silent, Weights(silent), "cpu").warnings[0]
    for one, other in zip(labels_of(model, [noise((9, 9, 9))]), labels_of(silent, [noise((9, 9, 9))]), strict=True):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))


def test_no_network_is_added_before_the_order_of_its_axes_is_known(tmp_path):
    draft = read_source(exported(tmp_path, "xyz"))

    places = [question.place for question in questions(draft)]
    assert ("input", "axes") in places
    assert ("input", "patch_size") not in places
    assert template(draft)["input"]["axes"] is None
    draft.put(("input", "axes"), "xyz")
    assert draft.entry["input"]["patch_size"] == list(PATCH)


def test_a_patch_that_the_network_does_not_have_in_this_order_is_refused(tmp_path):
    path = exported(tmp_path, "xyz")
    given = own_models.answers()
    given["output"] = {
        "activation": "softmax",
        "segments": [{"label": 1, "name": "liver"}, own_models.OTHER | {"name": "spleen"}],
    }
    given["input"] |= {"axes": "xyz", "patch_size": list(PATCH)}
    wrong = given | {"input": given["input"] | {"patch_size": list(PATCH[::-1])}}
    with pytest.raises(UsageError, match=r"patch_size: the network says \[5, 6, 7\] \(z y x\)"):
        own_models.add_model(path, wrong)

    assert own_models.add_model(path, given).input.axes == "xyz"


def test_an_order_of_axes_is_no_matter_of_nnunet(tmp_path):
    entry = factories.entry(runtime="nnunetv2", weights={"folder": "none"})
    entry["input"]["axes"] = "xyz"

    with pytest.raises(ModelError, match="axes: is for torch and onnx"):
        load_registry(factories.registry(tmp_path, entry))
