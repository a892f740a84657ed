import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from NativeDLLib.core.errors import CancelledError, ModelError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference import sliding_window as windows
from NativeDLLib.inference.network import zeros
from NativeDLLib.inference.preprocess import Prepared
from NativeDLLib.inference.sliding_window import gaussian, windows_along
from NativeDLLib.inference.torch_runtime import TorchNetwork

torch = pytest.importorskip("torch")


def planes_of(volume, networks, patch, *, fill=0.0, reflect=False, body=None, progress=None, **settings):
    """Logits as they come; patches are left out where `body` says that there is air."""
    prepared = Prepared(volume, None, None, None, fill, reflect, body)
    settings = windows.WindowSettings(patch, **settings, skip_air=body is not None)
    return windows.sliding_window(prepared, networks, settings, progress or Progress())


def sliding_window(*arguments, **options):
    """All planes at once."""
    return np.concatenate(list(planes_of(*arguments, **options)), axis=1)


class AirAtTheStart:
    """A body of which no patch at the start of an axis holds anything."""

    def __init__(self, axis):
        self._axis = axis

    def is_air(self, window):
        return window[self._axis].start == 0


class Pointwise:
    """A network that looks at single voxels, so that windows must not change its answer."""

    device, concurrency = "cpu", 1

    def to_device(self, array):
        return array

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, batch):
        self.calls += 1
        return np.concatenate([batch, 2 * batch], axis=1)


class Positional(Pointwise):
    """A network that answers with the position in the patch, so that every flip shows."""

    def __call__(self, batch):
        z, y, x = np.indices(batch.shape[2:], dtype=np.float32)
        return np.stack([z, y, x])[None]


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 40, 23), (5, 9, 30)])
@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
def test_windows_leave_a_pointwise_network_unchanged(shape, step):
    volume = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)

    logits = sliding_window(volume, [Pointwise()], (16, 16, 16), step=step)

    assert logits.shape == (2, *shape)
    np.testing.assert_allclose(logits, np.concatenate([volume, 2 * volume]), rtol=1e-5, atol=1e-5)


def test_flips_are_undone_before_they_are_averaged():
    volume = np.zeros((1, 8, 8, 8), np.float32)

    plain = sliding_window(volume, [Positional()], (8, 8, 8))
    mirrored = sliding_window(volume, [Positional()], (8, 8, 8), mirror_axes=(2,))

    np.testing.assert_allclose(plain[2, 0, 0], np.arange(8), atol=1e-5)
    np.testing.assert_allclose(mirrored[2], 3.5, atol=1e-5)
    np.testing.assert_allclose(mirrored[:2], plain[:2], atol=1e-5)


def test_mirroring_three_axes_takes_eight_passes_a_patch():
    network = Pointwise()

    sliding_window(np.zeros((1, 8, 8, 8), np.float32), [network], (8, 8, 8), mirror_axes=(0, 1, 2))

    assert network.calls == 8


@pytest.mark.parametrize(("size", "patch", "step"), [(110, 64, 0.5), (64, 64, 0.5), (65, 64, 0.5), (300, 96, 0.7)])
def test_windows_start_where_nnunet_starts_them(size, patch, step):
    reference = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")

    (expected,) = reference.compute_steps_for_sliding_window((size,), (patch,), step)

    assert windows_along(slice(0, size), size, patch, step) == [slice(start, start + patch) for start in expected]


def test_weights_are_those_of_nnunet():
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")

    expected = reference.compute_gaussian(
        (16, 24, 32), value_scaling_factor=10, dtype=torch.float32, device=torch.device("cpu")
    ).numpy()

    np.testing.assert_allclose(gaussian((16, 24, 32)), expected, rtol=1e-5, atol=1e-7)


def test_a_small_volume_is_surrounded_by_what_stands_for_nothing():
    seen = []

    class Watching(Pointwise):
        def __call__(self, batch):
            seen.append(batch.copy())
            return super().__call__(batch)

    sliding_window(np.ones((1, 2, 4, 4), np.float32), [Watching()], (4, 4, 4), fill=-7.0)

    assert sorted(np.unique(seen[0])) == [-7.0, 1.0]
    assert (seen[0] == 1).sum() == 32


def test_a_volume_of_few_slices_is_continued_by_them_where_the_model_asks_for_it():
    seen = []

    class Looking(Pointwise):
        def __call__(self, batch):
            seen.append(batch[0, 0])
            return super().__call__(batch)

    volume = np.arange(1.0, 4.0, dtype=np.float32)[None, :, None, None] * np.ones((1, 3, 6, 6), np.float32)

    logits = sliding_window(volume, [Looking()], (10, 8, 8), fill=-7.0, reflect=True)

    (patch,) = seen
    assert patch[:, 4, 4].tolist() == [3, 2, 1, 1, 2, 3, 3, 2, 1, 1]
    assert (patch[:, 0] == -7).all()
    np.testing.assert_allclose(logits[:1], volume, rtol=1e-5)


def test_cancel_stops_between_patches():
    network = Pointwise()

    class Impatient(Progress):
        def update(self, stage, fraction):
            if fraction > 0.2:
                self.cancel()

    with pytest.raises(CancelledError):
        sliding_window(np.zeros((1, 64, 64, 64), np.float32), [network], (16, 16, 16), progress=Impatient())

    assert 0 < network.calls < 7**3 / 2


def test_progress_ends_at_one():
    fractions = []

    class Listening(Progress):
        def update(self, stage, fraction):
            fractions.append(fraction)

    sliding_window(np.zeros((1, 20, 16, 16), np.float32), [Pointwise()], (16, 16, 16), progress=Listening())

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_networks_of_an_ensemble_are_averaged():
    class Negative(Pointwise):
        def __call__(self, batch):
            return -3 * super().__call__(batch)

    volume = np.ones((1, 8, 8, 8), np.float32)

    logits = sliding_window(volume, [Pointwise(), Negative()], (8, 8, 8))

    np.testing.assert_allclose(logits[0], -1, rtol=1e-5)


class Overtaken(Pointwise):
    """A network for two threads, whose first call ends after the second one."""

    concurrency = 2

    def __init__(self, overtaken=True):
        super().__init__()
        self.inside = self.most = 0
        self._lock, self._second_ended = threading.Lock(), threading.Event()
        if not overtaken:
            self._second_ended.set()

    def __call__(self, batch):
        with self._lock:
            self.calls += 1
            call = self.calls
            self.inside += 1
            self.most = max(self.most, self.inside)
        if call == 1:
            assert self._second_ended.wait(30)
        with self._lock:
            self.inside -= 1
        if call == 2:
            self._second_ended.set()
        return np.stack([batch[:, 0] ** 2, batch[:, 0].mean() + batch[:, 0]], axis=1)


@pytest.mark.parametrize("networks", [1, 2])
def test_several_patches_at_once_give_bit_for_bit_what_one_after_the_other_give(networks):
    volume = np.random.default_rng(0).normal(size=(1, 20, 24, 28)).astype(np.float32)
    together, alone = ([Overtaken(two) for _ in range(networks)] for two in (True, False))
    alone[0].concurrency = 1

    at_once, one_by_one = (sliding_window(volume, some, (8, 8, 8), body=AirAtTheStart(1)) for some in (together, alone))

    assert np.array_equal(at_once, one_by_one)
    assert [network.calls for network in together] == [network.calls for network in alone]
    assert sum(network.most for network in together) > networks
    assert all(network.most == 1 for network in alone)


def test_an_error_in_a_thread_and_a_wish_to_stop_end_all_threads():
    class Failing(Overtaken):
        def __call__(self, batch):
            result = super().__call__(batch)
            if self.calls > 3:
                raise ModelError("no memory")
            return result

    volume, before = np.zeros((1, 8, 8, 80), np.float32), threading.active_count()
    network = Failing()
    with pytest.raises(ModelError, match="no memory"):
        sliding_window(volume, [network], (8, 8, 8))
    assert network.calls < 8

    class CancelAfterTwo(Progress):
        def update(self, stage, fraction):
            if network.calls > 1:
                self.cancel()

    network = Overtaken()
    with pytest.raises(CancelledError):
        sliding_window(volume, [network], (8, 8, 8), progress=CancelAfterTwo())
    assert network.calls < 8
    assert threading.active_count() == before


def test_seconds_of_forward_passes_are_counted():
    progress = Progress()

    sliding_window(np.zeros((1, 8, 8, 80), np.float32), [Overtaken()], (8, 8, 8), progress=progress)

    assert progress.forward.seconds > 0


@pytest.mark.parametrize("half", [True, False])
def test_patches_are_blended_alike_with_and_without_torch(monkeypatch, half):
    volume = np.random.default_rng(0).normal(size=(1, 20, 24, 28)).astype(np.float32)
    with_torch = sliding_window(volume, [Pointwise()], (8, 8, 8), half=half)
    monkeypatch.delitem(sys.modules, "torch")

    without = sliding_window(volume, [Pointwise()], (8, 8, 8), half=half)

    assert without.dtype == with_torch.dtype
    np.testing.assert_allclose(without, with_torch, atol=2e-3 if half else 1e-5)


def two_networks(*, resident):
    """Two small networks of torch on the processor, which keep tensors there as they do on a GPU, or give arrays."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = torch.nn.Conv3d(1, 3, 3, padding=1).eval()
        made.append(TorchNetwork(module, torch.device("cpu"), "cpu", 2, Path("network")))
        made[-1].stays = resident
    return made


@pytest.mark.parametrize(
    "options",
    [
        {"mirror_axes": (0, 2)},
        {"half": True},
        {"features": True, "body": AirAtTheStart(0)},
        {"body": AirAtTheStart(0), "reflect": True},
    ],
    ids=["mirrored", "half", "features", "skipping"],
)
@pytest.mark.parametrize("shape", [(30, 20, 21), (9, 40, 12)])
def test_tensors_that_stay_on_their_device_give_what_arrays_give(shape, options):
    volume = np.random.default_rng(4).normal(size=(1, *shape)).astype(np.float32)

    planes = list(planes_of(volume, two_networks(resident=True), (12, 14, 16), **options))
    expected = sliding_window(volume, two_networks(resident=False), (12, 14, 16), **options)

    assert all(isinstance(part, torch.Tensor) for part in planes)
    found = torch.cat(planes, 1).numpy()
    assert found.dtype == expected.dtype
    # Half precision is rounded once more there, which tells in the corners of patches.
    tolerance, most = (5e-3, 1e-3) if options.get("half") else (1e-5, 0)
    assert np.mean(np.abs(found - expected) > tolerance) <= most


@pytest.mark.parametrize("fitting", [0, 1], ids=["of no network", "of the first network"])
def test_results_for_which_the_device_has_no_room_are_kept_in_main_memory(monkeypatch, fitting):
    made = []

    def full(shape, like):
        if windows.is_tensor(like) and len(shape) == 4:
            if len(made) == fitting:
                raise torch.OutOfMemoryError("CUDA out of memory")
            made.append(shape)
        return zeros(shape, like)

    monkeypatch.setattr(windows, "zeros", full)
    volume = np.random.default_rng(4).normal(size=(1, 30, 20, 21)).astype(np.float32)
    progress = Progress()

    found = sliding_window(volume, two_networks(resident=True), (12, 14, 16), progress=progress)

    expected = sliding_window(volume, two_networks(resident=False), (12, 14, 16))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ["no room" in warning for warning in progress.warnings] == [True]
