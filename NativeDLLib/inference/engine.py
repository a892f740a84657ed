"""A model made ready to run: how it wants its input, its network on a device, and the way back to the source grid."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.inference.network import Loaded, Network
from NativeDLLib.inference.preprocess import Prepared, prepare, restore
from NativeDLLib.inference.upsample import Head
from NativeDLLib.registry.entry import Model


class Engine(Protocol):
    """What the pipeline needs of a model, whatever its runtime.

    Attributes
    ----------
    networks
        The network on its device, or the folds of an ensemble.
    patch_size
        Size (z, y, x) in voxels.
    mirror_axes
        Axes that test-time augmentation may flip.
    mirrors_by_default
        Whether it does where the registry entry does not say.
    half
        Whether logits are accumulated in half precision.
    head
        What makes logits of what the networks give, where that is features.
    warnings
        What came up while loading.
    """

    networks: Sequence[Network]
    patch_size: tuple[int, ...]
    mirror_axes: tuple[int, ...]
    mirrors_by_default: bool
    half: bool
    head: Head | None
    warnings: Sequence[str]

    def prepare(self, image: sitk.Image) -> Prepared:
        """Return what the network takes."""

    def restore(self, planes: Iterable[npt.NDArray[Any]], prepared: Prepared) -> npt.NDArray[np.uint16]:
        """Return the network's labels (z, y, x) on the grid of the image that was prepared, as logits come."""


class ContractEngine:
    """A network whose preprocessing is what the registry entry says (torch and onnx)."""

    mirrors_by_default = False
    half = False
    head: Head | None = None

    def __init__(self, model: Model, loaded: Loaded) -> None:
        assert model.input.patch_size is not None
        self.networks: Sequence[Network] = (loaded.network,)
        self.warnings = loaded.warnings
        self.patch_size: tuple[int, ...] = model.input.patch_size
        self.mirror_axes: tuple[int, ...] = tuple(model.sliding_window.get("mirror_axes", (0, 1, 2)))
        self._contract = model.input

    def prepare(self, image: sitk.Image) -> Prepared:
        """See `Engine`."""
        return prepare(image, self._contract)

    def restore(self, planes: Iterable[npt.NDArray[Any]], prepared: Prepared) -> npt.NDArray[np.uint16]:
        """See `Engine`."""
        return restore(planes, prepared)


def import_ahead(model: Model) -> threading.Thread:
    """Begin to import what runs a model, which takes a second, beside whatever the caller does next."""
    name = "onnxruntime" if model.runtime == "onnx" else "torch"
    thread = threading.Thread(target=_import, args=(name,), name=f"import {name}")
    thread.start()
    return thread


def _import(name: str) -> None:
    # Whoever needs it imports it again, and says what is wrong.
    with contextlib.suppress(Exception):
        importlib.import_module(name)


def load_engine(model: Model, weights: Path, device: str) -> Engine:
    """Load a model's network on a device.

    Parameters
    ----------
    model
        Registry entry.
    weights
        Its weights file or results folder, whose digests have been checked.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    ModelError
        Where the runtime is missing, the device is not there, or the weights are not such a network.
    """
    classes = model.output_channels or max(segment.label for segment in model.segments) + 1
    # Runtimes are imported when a model asks for them: each takes seconds.
    if model.architecture is not None:
        from NativeDLLib.inference.described import load_described

        return ContractEngine(model, load_described(weights, model.architecture, device, classes))
    if model.runtime == "torch":
        from NativeDLLib.inference.torch_runtime import load_torch

        return ContractEngine(model, load_torch(weights, device, classes))
    if model.runtime == "onnx":
        from NativeDLLib.inference.onnx_runtime import load_onnx

        return ContractEngine(model, load_onnx(weights, device, classes))
    from NativeDLLib.inference.nnunet import load_nnunet

    return load_nnunet(model, weights, device)
