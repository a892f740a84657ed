"""Every way to load a network, and every attack in its file: refused in one line, and nothing of it runs."""

import contextlib
import hashlib
import json
import sys

import factories
import numpy as np
import own_models
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.engine import load_engine
from NativeDLLib.models.add.install import user_registry
from NativeDLLib.models.fetch.fetch import fetch
from NativeDLLib.registry import load_registry
from NativeDLLib.registry.weights import Weights

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import hostile_networks  # noqa: E402  (imports torch)

pytestmark = pytest.mark.slow

ATTACKS = [
    *(("torch", ".pt2", name, make) for name, make in hostile_networks.REFUSED.items()),
    *(("onnx", ".onnx", name, make) for name, make in hostile_networks.ONNX.items()),
    *(("described", ".pth", name, make) for name, make in hostile_networks.STATE.items()),
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("NATIVEDL_MODELS", str(tmp_path / "cache"))


def entry_of(kind, **weights):
    entry = factories.entry(runtime="onnx" if kind == "onnx" else "torch", weights=weights)
    return entry | ({"architecture": hostile_networks.DESCRIPTION} if kind == "described" else {})


def run(kind, path):
    """Load it as a run does."""
    weights = {"file": path.name, "sha256": factories.digest(path)}
    (model,) = load_registry(factories.registry(path.parent, entry_of(kind, **weights)))
    engine = load_engine(model, Weights(model), "cpu")
    engine.networks[0](np.zeros((1, 1, 16, 16, 16), np.float32))


def add(kind, path):
    """Add it to the user's registry."""
    description = path.with_suffix(".json")
    description.write_text(json.dumps(hostile_networks.DESCRIPTION))
    own_models.add_model(path, own_models.answers(), architecture=description if kind == "described" else None)


def fetched(kind, path):
    """Take it for what is at a model's address."""
    where = {"url": f"https://example.org/{path.name}", "file": path.name, "sha256": factories.digest(path)}
    (model,) = load_registry(factories.registry(path.parent, entry_of(kind, **where)))
    fetch(model, path, lambda _: True, Progress())


def trained(kind, path):
    """Start a training from it."""
    from NativeDLLib.training.unet import start_weights

    weights = {"file": path.name, "sha256": factories.digest(path)}
    (model,) = load_registry(factories.registry(path.parent, entry_of(kind, **weights)))
    start_weights(model)


@pytest.mark.parametrize("way", [run, add, fetched], ids=["run", "models add", "models fetch"])
@pytest.mark.parametrize(("kind", "suffix", "attack", "make"), ATTACKS, ids=[f"{a[0]}: {a[2]}" for a in ATTACKS])
def test_an_attack_is_refused_by_every_way_to_load_a_network(tmp_path, way, kind, suffix, attack, make):
    marker, path = tmp_path / "ran", tmp_path / "files" / f"network{suffix}"
    path.parent.mkdir()
    path.write_bytes(make(tmp_path, marker))

    with pytest.raises(ModelError) as caught:
        way(kind, path)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert not marker.exists()
    assert not user_registry().exists()
    assert not list((tmp_path / "cache").glob("bright*"))


@pytest.mark.parametrize(("attack", "make"), hostile_networks.REFUSED.items(), ids=hostile_networks.REFUSED)
def test_no_attack_runs_when_a_training_starts_from_its_file(tmp_path, attack, make):
    marker, path = tmp_path / "ran", tmp_path / "files" / "network.pt2"
    path.parent.mkdir()
    path.write_bytes(make(tmp_path, marker))

    # The graph is not looked at: a file in which only that is hostile gives its weights.
    with contextlib.suppress(ModelError):
        trained("torch", path)

    assert not marker.exists()


@pytest.mark.parametrize(("attack", "make"), hostile_networks.IGNORED.items(), ids=hostile_networks.IGNORED)
def test_what_a_network_has_no_need_for_is_not_looked_at(tmp_path, monkeypatch, attack, make):
    marker, path = tmp_path / "ran", tmp_path / "files" / "network.pt2"
    path.parent.mkdir()
    path.write_bytes(make(tmp_path, marker))
    (tmp_path / "module_of_a_stranger.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))

    run("torch", path)

    assert not marker.exists()
    assert "module_of_a_stranger" not in sys.modules


def honest(folder, kind, threshold):
    """Write a network and return its file, as each runtime has it."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "onnx":
        return factories.threshold_onnx(folder / "network.onnx", threshold)
    if kind == "torch":
        return factories.threshold_pt2(folder / "network.pt2", threshold)
    state = {f"layers.0.{name}": value for name, value in factories.threshold_module(threshold).state_dict().items()}
    if kind == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, folder / "network.safetensors")
        return folder / "network.safetensors"
    torch.save(state, folder / "network.pth")
    return folder / "network.pth"


@pytest.mark.parametrize("kind", ["onnx", "torch", "described", "safetensors"])
def test_what_is_loaded_is_what_was_hashed_even_where_the_file_is_another_one_by_then(tmp_path, monkeypatch, kind):
    path, other = honest(tmp_path / "files", kind, 1.5), honest(tmp_path / "other", kind, -7.0)
    weights = {"file": path.name, "sha256": factories.digest(path)}
    row = entry_of("described" if kind == "safetensors" else kind, **weights)
    (model,) = load_registry(factories.registry(path.parent, row))
    hashed = []

    class Swapping:
        """SHA-256, after which the file is another one."""

        def sha256(self, content):
            hashed.append(content)
            other.replace(path) if other.exists() else None
            return hashlib.sha256(content)

    monkeypatch.setattr("NativeDLLib.registry.weights.hashlib", Swapping())
    engine = load_engine(model, Weights(model), "cpu")

    logits = engine.networks[0](np.zeros((1, 1, 16, 16, 16), np.float32))
    assert hashed
    assert not other.exists()
    np.testing.assert_allclose(logits[0, 1], -1.5)


def test_a_checkpoint_of_nnunet_is_loaded_as_it_was_hashed_too(tmp_path, monkeypatch):
    pytest.importorskip("nnunetv2")
    import nnunet_folder  # imports nnunetv2

    folder = nnunet_folder.write(tmp_path / "results")
    path, other = folder / "fold_0" / "checkpoint_final.pth", tmp_path / "other.pth"
    content = torch.load(path, weights_only=False)
    content["network_weights"] = {name: value * 0 for name, value in content["network_weights"].items()}
    torch.save(content, other)
    files = {f.relative_to(folder).as_posix(): factories.digest(f) for f in folder.rglob("*") if f.is_file()}
    row = factories.entry(runtime="nnunetv2", weights={"folder": "results", "files": files}, sliding_window={})
    row |= {
        "input": {"modality": "CT", "orientation": "LPS", "channels": [{"name": "CT"}]},
        "parameters": [],
        "postprocessing": [],
    }
    row["output"].pop("channels")
    (model,) = load_registry(factories.registry(tmp_path, row))

    class Swapping:
        def sha256(self, data):
            if len(data) == path.stat().st_size and other.exists():
                other.replace(path)
            return hashlib.sha256(data)

    monkeypatch.setattr("NativeDLLib.registry.weights.hashlib", Swapping())
    engine = load_engine(model, Weights(model), "cpu", measure=False)

    assert not other.exists()
    assert np.ptp(engine.networks[0](np.ones((1, 1, *engine.patch_size), np.float32))) > 0
    with pytest.raises(ModelError, match=r"checkpoint_final\.pth is not the file that the registry means"):
        load_engine(model, Weights(model), "cpu", measure=False)
