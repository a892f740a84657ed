import json
import pickle
import sys

import factories
import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.engine import load_engine
from NativeDLLib.inference.torch_runtime import load_torch
from NativeDLLib.registry import effective, load_registry
from NativeDLLib.registry.weights import Weights
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.source import Series
from NativeDLLib.tools.tool import Machine

torch = pytest.importorskip("torch")

BATCH = np.random.default_rng(0).normal(size=(2, 1, 3, 16, 12)).astype(np.float32)


def threshold(*size):
    layer = {"type": "convolution", "filters": 2, "kernel_size": 1}
    return {"schema_version": "1.0", "input_shape": [1, *size], "architecture": [layer]}


def weights(axes, limit=1.5):
    weight = torch.tensor([0.0, 1.0]).reshape(2, 1, *[1] * axes)
    return {"layers.0.weight": weight, "layers.0.bias": torch.tensor([0.0, -limit])}


def saved(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("size", [(3, 16, 12), (16, 12)], ids=["3d", "2d"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_file_of_weights_and_a_description_are_a_network(tmp_path, size, suffix):
    path = tmp_path / f"bright{suffix}"
    if suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(weights(len(size)), path)
    else:
        saved(path, weights(len(size)))

    loaded = load_torch(path.read_bytes(), path, "cpu", 2, threshold(*size))

    np.testing.assert_allclose(
        loaded.network(BATCH), np.concatenate([np.zeros_like(BATCH), BATCH - 1.5], axis=1), atol=1e-6
    )
    assert loaded.network.device.startswith("cpu")


def test_without_safetensors_its_files_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)

    with pytest.raises(ModelError, match="its weights need the package safetensors"):
        load_torch(b"\2\0\0\0\0\0\0\0{}", tmp_path / "w.safetensors", "cpu", 2, threshold(16, 12))


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    target = tmp_path / "ran"
    for path in (tmp_path / "zip.pth", tmp_path / "legacy.pth", tmp_path / "plain.pth"):
        if path.stem == "plain":
            path.write_bytes(pickle.dumps(Payload(target)))
        else:
            torch.save({"x": Payload(target)}, path, _use_new_zipfile_serialization=path.stem == "zip")
        with pytest.raises(ModelError, match=f"{path}: its weights cannot be read"):
            load_torch(path.read_bytes(), path, "cpu", 2, threshold(3, 16, 12))
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"\x80\x02}q\x00.", bytes(1000)])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)

    with pytest.raises(ModelError, match=f"^{path}: "):
        load_torch(path.read_bytes(), path, "cpu", 2, threshold(3, 16, 12))


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"layers.0.weight": 1.0}, torch.zeros(1)])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    path = saved(tmp_path / "w.pth", content)

    with pytest.raises(ModelError, match="its weights are not a state dict of tensors"):
        load_torch(path.read_bytes(), path, "cpu", 2, threshold(16, 12))


def test_weights_of_another_network_are_refused_with_the_file(tmp_path):
    path = saved(tmp_path / "w.pth", weights(2))

    with pytest.raises(ModelError, match=rf"^{path}: the weights do not fit .* has the shape \[2, 1, 1, 1\]"):
        load_torch(path.read_bytes(), path, "cpu", 2, threshold(3, 16, 12))


def entry(folder, architecture, *, patch=(16, 16, 16), **changes):
    folder.mkdir(exist_ok=True)
    path = saved(folder / "bright.pth", weights(len(architecture["input_shape"]) - 1))
    row = factories.entry(
        runtime="torch",
        architecture=architecture,
        weights={"file": path.name, "sha256": factories.digest(path)},
        **changes,
    )
    row["input"]["patch_size"] = list(patch)
    return row


@pytest.mark.parametrize(("size", "patch"), [((16, 16, 16), (16, 16, 16)), ((16, 16), (4, 16, 16))], ids=["3d", "2d"])
def test_a_registry_entry_with_an_architecture_runs(tmp_path, size, patch):
    (model,) = load_registry(factories.registry(tmp_path, entry(tmp_path, threshold(*size), patch=patch)))
    engine = load_engine(model, Weights(model, tmp_path / "bright.pth"), "cpu")
    image = sitk.GetImageFromArray(factories.block((16, 32, 40)))

    prepared = engine.prepare(image)
    logits = engine.networks[0](np.zeros((1, 1, *engine.patch_size), np.float32))

    assert prepared is not None
    assert logits.shape == (1, 2, *patch)
    np.testing.assert_allclose(logits[0, 1], -1.5)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"schema_version": "1.0"}, r"\.architecture: network description: .*is missing"),
        ({**threshold(16, 16, 16), "input_shape": [2, 16, 16, 16]}, "architecture.input_shape: is for 2 channels"),
        (threshold(16, 16, 8), r"input_shape: \[16, 16, 8\] is not the patch_size \[16, 16, 16\]"),
        (
            {**threshold(16, 16, 16), "architecture": [{"type": "max_pooling", "kernel_size": 2}]},
            r"gives the shape \[1, 8, 8, 8\], not logits of the size of its input",
        ),
        (7, r"architecture: 7 is not of type 'object'"),
    ],
)
def test_a_registry_entry_whose_architecture_does_not_fit_is_refused(tmp_path, architecture, words):
    row = {**entry(tmp_path, threshold(16, 16, 16)), "architecture": architecture}

    with pytest.raises(ModelError, match=rf"models\[0\] \(bright\).*{words}"):
        load_registry(factories.registry(tmp_path, row))


@pytest.mark.parametrize("runtime", ["onnx", "nnunetv2"])
def test_only_torch_takes_an_architecture(tmp_path, runtime):
    row = json.loads(json.dumps({**entry(tmp_path, threshold(16, 16, 16)), "runtime": runtime}))
    if runtime == "nnunetv2":
        row["weights"] = {"folder": "results"}

    with pytest.raises(ModelError, match=r"models\[0\] \(bright\).runtime: '\w+' is not 'torch'"):
        load_registry(factories.registry(tmp_path, row))


@pytest.mark.parametrize(("size", "patch"), [((16, 16, 16), (16, 16, 16)), ((16, 16), (4, 16, 16))], ids=["3d", "2d"])
def test_a_series_is_segmented_by_described_networks_as_by_files_that_hold_the_network(tmp_path, size, patch):
    series = Series.read(factories.ct_series(tmp_path / "series"))
    paths = (
        factories.registry(tmp_path / "onnx"),
        factories.registry(tmp_path / "json", entry(tmp_path / "json", threshold(*size), patch=patch)),
    )
    masks = []
    for path in paths:
        (model,) = load_registry(path)
        result = run_pipeline(model, series, effective(model), Machine("cpu"), Progress())
        (dataset,) = result.to_dicom()
        masks.append(dataset.pixel_array)

    assert masks[0].any()
    np.testing.assert_array_equal(masks[0], masks[1])
