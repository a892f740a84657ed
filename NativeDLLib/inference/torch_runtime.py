"""Networks of torch, and ``.pt2`` files of ``torch.export``."""

import contextlib
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference import network
from NativeDLLib.inference.confined import confined
from NativeDLLib.inference.device import torch_device
from NativeDLLib.inference.network import ArrayOrTensor, Loaded, checked_output, is_tensor, require, to_numpy
from NativeDLLib.inference.pt2_archive import NotRunError, Pt2Archive
from NativeDLLib.inference.pt2_graph import ExportedNetwork


class TorchNetwork:
    """A torch module as a `Network`; `resident` keeps volumes and results on the device, by default where that pays."""

    concurrency = 1

    def __init__(
        self, module: Any, device: Any, description: str, classes: int, path: Path, *, resident: bool | None = None
    ) -> None:
        self.device = description
        self._module, self._device, self._classes, self._path = module, device, classes, path
        self._resident = device.type == "cuda" if resident is None else resident

    def to_device(self, array: Array) -> ArrayOrTensor:
        """See `Network`."""
        if not self._resident:
            return array
        import torch

        with self._translate_errors():
            return torch.from_numpy(array).to(self._device)

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Run the module on a batch; see `Network`."""
        import torch

        with self._translate_errors(), torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self._module(batch if is_tensor(batch) else torch.from_numpy(batch).to(self._device))
            if isinstance(output, (tuple, list)):
                output = output[0]
            result = output.float()
            return checked_output(result if is_tensor(batch) else to_numpy(result), batch, self._classes, self._path)

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise an error of ours for one of torch."""
        import torch

        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self.device} has too little memory for this model; use cpu") from error
        except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
            told = str(error) if isinstance(error, NotRunError) else "its layers do not fit this input"
            raise ModelError(f"{self._path}: cannot run on {self.device}: {told}") from error


def load_torch(content: bytes, path: Path, device: str, classes: int) -> Loaded:
    """Load a ``.pt2`` file of which nothing is read but the bytes given; `path` names it in messages. It has at least
    `classes` output channels, the background included. ModelError where torch or the device is not there, or the file
    is not such a network.
    """
    require("torch", "torch")
    chosen, description, notes = torch_device(device)
    module = confined(ExportedNetwork, Pt2Archive(content, path), chosen, path)
    runs = module if module.axes == 5 else partial(network.plane_by_plane, module)
    return Loaded(TorchNetwork(runs, chosen, description, classes, path), notes, module.activation)
