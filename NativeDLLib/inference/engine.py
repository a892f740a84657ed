"""A model made ready to run: how it wants its input, its network on a device, and the way back to the source grid."""

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pkgutil import resolve_name
from typing import Protocol

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Labels
from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.label_maker import Head
from NativeDLLib.inference.network import ArrayOrTensor, Loaded, Network, contiguous, joined, silent, transposed, zeros
from NativeDLLib.inference.preprocess import Prepared, prepare, restore
from NativeDLLib.inference.sliding_window import WindowSettings
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.parameters import Value, resolve
from NativeDLLib.registry.runtimes import RUNTIMES
from NativeDLLib.registry.weights import Weights

_SILENT = {
    "axes": "in which order its network takes the axes of an image: it is run as z, y, x, and the result is wrong if "
    "it was trained with x, y, z, as MONAI does; its entry needs input.axes, such as zyx",
    "activation": "whether the classes of its network exclude each other: it is run as if they did, with a background, "
    "and the result is wrong if they do not; its entry needs output.activation: softmax or sigmoid",
}
_ACTIVATIONS = {
    "sigmoid": "a sigmoid: its channels are structures that do not exclude each other, and none is the background",
    "softmax": "a softmax: its channels are classes that exclude each other, the background first",
    "labels": "labels that it decides itself, and not in values of classes",
}


class Engine(Protocol):
    """A model made ready for the pipeline, whatever its runtime."""

    networks: Sequence[Network]  # network on its device, or the folds of an ensemble
    patch_size: tuple[int, ...]  # size (z, y, x) in voxels
    mirror_axes: tuple[int, ...]  # axes that test-time augmentation may flip
    mirrors_by_default: bool  # whether it flips them where the registry entry is silent
    half: bool  # whether logits are accumulated in half precision
    head: Head | None  # last layer that makes logits of features; None where the networks give logits
    is_streamed: bool  # whether `restore` makes labels of logits as they come

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings of loading, and then of what the network gave."""

    def prepare(self, image: sitk.Image) -> Prepared:
        """Input of the network."""

    def restore(self, planes: Iterable[ArrayOrTensor], prepared: Prepared) -> Labels:
        """Return the network's labels (z, y, x) on the grid of the image that was prepared, as logits come."""


class ContractEngine:
    """A network whose preprocessing is what the registry entry says (torch and onnx)."""

    mirrors_by_default = False
    half = False
    head: Head | None = None
    is_streamed = True

    def __init__(self, model: Model, loaded: Loaded) -> None:
        assert model.input.patch_size is not None
        if model.input.needs:
            told = "where another channel shows the same series, its entry needs series: same"
            raise ModelError(f"model {model.id} {model.input.needs}; {told}")
        found = loaded.activation
        if found in _ACTIVATIONS and found != (model.activation or "softmax"):
            told = f"says {model.activation}" if model.activation else "does not say so"
            raise ModelError(
                f"model {model.id}: its network ends in {_ACTIVATIONS[found]}; its registry entry {told} "
                "(output.activation)"
            )
        threshold = model.threshold if model.activation == "sigmoid" else None
        labels = model.least_channels if model.activation == "labels" else 0
        self._adapted = AdaptedNetwork(loaded.network, model.input.array_axes, threshold, labels)
        is_plain = threshold is None and not labels and model.input.array_axes == (0, 1, 2)
        self.networks: Sequence[Network] = (loaded.network if is_plain else self._adapted,)
        known = {"axes": model.input.axes, "activation": model.activation or found}
        unsaid = [
            f"the registry does not say of {model.id} {told}" for name, told in _SILENT.items() if not known[name]
        ]
        self._warnings = [*loaded.warnings, *unsaid]
        self.patch_size: tuple[int, ...] = model.input.patch_size
        self.mirror_axes = model.sliding_window.mirror_axes
        self._contract = model.input

    @property
    def warnings(self) -> Sequence[str]:
        """See `Engine`."""
        if not self._adapted.shared:
            return self._warnings
        share = self._adapted.shared / self._adapted.marked
        return [
            *self._warnings,
            f"{share:.1%} of the voxels that the network marked are marked as several structures; each went to the one "
            "with the largest value",
        ]

    def prepare(self, image: sitk.Image) -> Prepared:
        """See `Engine`."""
        return prepare(image, self._contract)

    def restore(self, planes: Iterable[ArrayOrTensor], prepared: Prepared) -> Labels:
        """See `Engine`."""
        return restore(planes, prepared)


def window_settings(model: Model, engine: Engine, parameters: Mapping[str, Value]) -> WindowSettings:
    """Return how a model's network looks at patches, by its entry, its engine and the effective parameters."""
    given = model.sliding_window
    mirror = engine.mirrors_by_default if given.mirror is None else resolve(given.mirror, parameters)
    return WindowSettings(
        engine.patch_size,
        step=float(resolve(given.step, parameters)),
        mirror_axes=engine.mirror_axes if mirror else (),
        half=engine.half,
        features=engine.head is not None,
        skip_air=resolve(given.skip_air, parameters),
        around_body=resolve(given.around_body, parameters),
    )


def import_ahead(model: Model, device: str) -> threading.Thread:
    """Import in another thread, which is returned, what runs a model and writes its result; a GPU is woken too."""
    names = [*RUNTIMES[model.runtime].imports, "NativeDLLib.dicom.seg"]
    thread = threading.Thread(target=_import, args=(names, device), name="import ahead")
    thread.start()
    return thread


def _import(names: Sequence[str], device: str) -> None:
    for name in names:
        # What is needed for nothing any more would only be waited for.
        if not threading.main_thread().is_alive():
            return
        # Whoever needs it imports it again, and says what is wrong. nnU-Net prints while it is imported.
        with contextlib.suppress(Exception), silent() if name.startswith("nnunetv2") else contextlib.nullcontext():
            importlib.import_module(name)
    if "torch" in names and device.startswith(("auto", "cuda")):
        with contextlib.suppress(Exception):
            import torch

            # CUDA and cuDNN set themselves up, which takes most of a second.
            if torch.cuda.is_available():
                volume = torch.zeros((1, 1, 3, 3, 3), device="cuda" if device == "auto" else device)
                torch.nn.functional.conv3d(volume, volume)


def load_engine(model: Model, weights: Weights, device: str, *, measure: bool = True) -> Engine:
    """Load a model's network on a device (``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``). `measure` lets the network
    be timed, to find the fastest way to run it. ModelError where the runtime or the device is not there, or the weights
    are no such network.
    """
    load: Callable[..., Engine] = resolve_name(RUNTIMES[model.runtime].loader)
    return load(model, weights, device, measure=measure)


class AdaptedNetwork:
    """A network with its own array in another order, or that gives no values of classes with a background. `axes` are
    those of (z, y, x) in the network's order. Nothing else knows of that order: patches, mirrored axes and sizes are
    (z, y, x). Where there is a `threshold`, the background is a channel of that value before the network's own: the
    largest is the background where no structure is above the threshold, and one structure everywhere else. `marked` and
    `shared` count the voxels above it in one channel, and in several. Of a network that gives its `labels`, so many
    with the background, each class is 1 where its label is, and 0 elsewhere: patches vote, those with a voxel near
    their centre the more, and labels, which are names, are never averaged.
    """

    def __init__(self, network: Network, axes: Sequence[int], threshold: float | None, labels: int) -> None:
        self.device, self.concurrency, self._network = network.device, network.concurrency, network
        self._there = [0, 1, *(2 + axis for axis in axes)]
        self._back = [int(place) for place in np.argsort(self._there)]
        self._threshold, self._labels = threshold, labels
        self.marked = self.shared = 0

    def to_device(self, array: Array) -> ArrayOrTensor:
        """See `Network`."""
        return self._network.to_device(array)

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Logits (n, classes, z, y, x) for a batch (n, channels, z, y, x); see `Network`."""
        given = transposed(self._network(contiguous(transposed(batch, self._there))), self._back)
        if self._labels:
            return self._votes(given)
        if self._threshold is None:
            return given
        if given.shape[1] > 1:
            count = (given > self._threshold).sum(1)
            self.marked, self.shared = self.marked + int((count > 0).sum()), self.shared + int((count > 1).sum())
        return joined([zeros((len(given), 1, *given.shape[2:]), given) + self._threshold, given], 1)

    def _votes(self, given: ArrayOrTensor) -> ArrayOrTensor:
        votes = zeros((len(given), self._labels, *given.shape[2:]), given)
        for label in range(self._labels):
            votes[:, label] = given[:, 0] == label
        if given.shape[1] != 1 or not bool((votes.sum(1) == 1).all()):
            raise ModelError(f"the network gives other values than the labels 0 to {self._labels - 1} of its entry")
        return votes
