"""The fastest way to run a network is measured once, remembered, and gives torch's values."""

import itertools
import json

import numpy as np
import pytest

from NativeDLLib.inference import cpu_backend
from NativeDLLib.inference.cpu_backend import fastest
from NativeDLLib.inference.network import call_concurrently

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
SHAPE = (1, 1, 8, 16, 16)


def network(seed=0, **settings):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1),
        torch.nn.InstanceNorm3d(4, affine=True),
        torch.nn.Conv3d(4, 3, 1, **settings),
    ).eval()


@pytest.fixture(autouse=True)
def _no_way_is_given(monkeypatch):
    monkeypatch.delenv("NATIVEDL_FORWARD")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _exported_once(monkeypatch, exports):
    """Write a network as ONNX once, which takes seconds, and then the same file again."""
    export = cpu_backend._export

    def again(module, patch, path):
        key = (repr(module), *(value.numpy().tobytes() for value in module.state_dict().values()))
        if key not in exports:
            exports[key] = path.read_bytes() if export(module, patch, path) else None
        elif exports[key] is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(exports[key])
        return exports[key] is not None

    monkeypatch.setattr(cpu_backend, "_export", again)


@pytest.fixture(scope="module")
def exports():
    return {}


@pytest.fixture
def measured(monkeypatch):
    """Let the ways take given seconds: torch, channels last, ONNX Runtime, the same for two patches at once."""

    def let(*seconds):
        following = itertools.chain(seconds, itertools.repeat(9.0))
        monkeypatch.setattr(cpu_backend, "_seconds", lambda network, patch: next(following))

    return let


def faster(module, folder):
    return fastest(module, SHAPE, "cpu (2 threads)", folder / "checkpoint", folder / "memory")


def nothing_is_measured(*_):
    raise AssertionError("it was measured again")


@pytest.mark.parametrize(
    ("seconds", "device"),
    [
        ((1.0, 0.95, 0.5), "cpu (2 threads, onnxruntime)"),
        ((1.0, 0.95, 0.5, 0.45), "cpu (2 threads, onnxruntime for two patches)"),
        ((1.0, 0.5, 0.8), "cpu (2 threads, channels last)"),
        ((1.0, 0.95, 0.95), "cpu (2 threads)"),
    ],
)
def test_the_fastest_way_is_taken_and_remembered(tmp_path, monkeypatch, measured, seconds, device):
    measured(*seconds)
    patch = np.random.default_rng(1).standard_normal(SHAPE, np.float32)
    with torch.inference_mode():
        expected = network()(torch.from_numpy(patch)).numpy()

    first = faster(network(), tmp_path)
    monkeypatch.setattr(cpu_backend, "_measure", nothing_is_measured)
    again = faster(network(), tmp_path)

    assert (first.device, again.device) == (device, device)
    assert first.concurrency == again.concurrency == (2 if "two" in device else 1)
    for made in (first, again):
        for result in call_concurrently(made, patch):
            np.testing.assert_allclose(result, expected, atol=1e-5)
    files = sorted(path.suffix for path in (tmp_path / "memory").iterdir())
    assert files == ([".json", ".onnx"] if "onnxruntime" in device else [".json"])


def test_what_is_done_in_no_time_is_not_measured(tmp_path, measured):
    measured(0.1)

    assert faster(network(), tmp_path).device == "cpu (2 threads)"
    assert not (tmp_path / "memory").exists()


def test_on_one_thread_no_two_patches_are_looked_at_at_once(tmp_path, measured):
    measured(1.0, 1.0, 0.5, 0.1)
    torch.set_num_threads(1)

    assert faster(network(), tmp_path).device == "cpu (2 threads, onnxruntime)"


def test_it_can_be_switched_off(tmp_path, monkeypatch, measured):
    measured(1.0, 0.5, 0.1)
    monkeypatch.setenv("NATIVEDL_FORWARD", "torch")

    assert faster(network(), tmp_path).device == "cpu (2 threads)"
    assert not (tmp_path / "memory").exists()


def test_other_weights_are_another_network(tmp_path, measured):
    measured(1.0, 1.0, 0.5)
    faster(network(), tmp_path)
    measured(1.0, 1.0, 1.0)

    assert faster(network(seed=1), tmp_path).device == "cpu (2 threads)"
    assert faster(network(), tmp_path).device == "cpu (2 threads, onnxruntime)"


@pytest.mark.parametrize("damage", [b"", b"another network"])
def test_a_damaged_network_is_made_again(tmp_path, measured, damage):
    measured(1.0, 1.0, 0.5)
    faster(network(), tmp_path)
    (weights,) = (tmp_path / "memory").glob("*.onnx")
    whole = weights.read_bytes()
    weights.write_bytes(damage)
    measured(1.0, 1.0, 0.5)

    made = faster(network(), tmp_path)

    assert made.device == "cpu (2 threads, onnxruntime)"
    assert weights.read_bytes() == whole


@pytest.mark.parametrize("text", ["", "{}", '{"way": 3}', "[]"])
def test_a_damaged_note_is_made_again(tmp_path, measured, text):
    measured(1.0, 1.0, 0.5)
    faster(network(), tmp_path)
    (note,) = (tmp_path / "memory").glob("*.json")
    note.write_text(text)
    measured(1.0, 1.0, 0.5)

    assert faster(network(), tmp_path).device == "cpu (2 threads, onnxruntime)"
    assert json.loads(note.read_text())["way"] == "onnxruntime"


def test_a_way_that_gives_other_values_is_not_taken(tmp_path, monkeypatch, measured):
    measured(1.0, 0.5, 0.1)
    export = cpu_backend._export
    monkeypatch.setattr(cpu_backend, "_export", lambda module, patch, path: export(network(seed=5), patch, path))

    assert faster(network(), tmp_path).device == "cpu (2 threads, channels last)"
    assert not list((tmp_path / "memory").glob("*.onnx"))


def test_what_cannot_be_exported_is_run_by_torch(tmp_path, measured):
    class Choosy(torch.nn.Module):
        def forward(self, batch):
            return batch.repeat(1, 2, 1, 1, 1) if float(batch.sum()) > 0 else -batch.repeat(1, 2, 1, 1, 1)

    measured(1.0, 1.0, 0.1)

    assert faster(Choosy().eval(), tmp_path).device == "cpu (2 threads)"


def test_where_nothing_can_be_kept_torch_runs_it(tmp_path, measured):
    (tmp_path / "memory").write_text("a file")
    measured(1.0, 0.5, 0.1)

    assert faster(network(), tmp_path).device == "cpu (2 threads)"


def test_only_the_latest_networks_are_kept(tmp_path, monkeypatch, measured):
    monkeypatch.setattr(cpu_backend, "_REMEMBERED", 2)
    for seed in range(4):
        measured(1.0, 1.0, 0.5)
        faster(network(seed), tmp_path)

    assert len(list((tmp_path / "memory").glob("*.onnx"))) == 2
    assert faster(network(3), tmp_path).device == "cpu (2 threads, onnxruntime)"
