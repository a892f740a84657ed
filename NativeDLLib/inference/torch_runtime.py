"""Networks of torch: ``.pt2`` files of ``torch.export``, and files of weights whose network is in the entry."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.confined import confined, load_tensors
from NativeDLLib.inference.device import torch_device
from NativeDLLib.inference.engine import ContractEngine
from NativeDLLib.inference.network import ArrayOrTensor, Loaded, activation_of, checked_output, plane_by_plane, require
from NativeDLLib.inference.pt2_archive import NotRunError, Pt2Archive
from NativeDLLib.inference.pt2_graph import ExportedNetwork
from NativeDLLib.registry.architecture.check import COUNTER, make_plan, matched
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights

if TYPE_CHECKING:
    import torch


class TorchNetwork:
    """A torch module as a `Network`; volumes and results stay on a GPU, where that pays."""

    concurrency = 1

    def __init__(self, module: Any, device: Any, description: str, classes: int, path: Path) -> None:
        self.device, self.stays = description, device.type == "cuda"
        self._module, self._device, self._classes, self._path = module, device, classes, path

    def to_device(self, array: Array) -> ArrayOrTensor:
        """See `Network`."""
        if not self.stays:
            return array
        import torch

        with self._translate_errors():
            return torch.from_numpy(array).to(self._device)

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Run the module on a batch; see `Network`."""
        import torch

        with self._translate_errors(), torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stays = isinstance(batch, torch.Tensor)
            output = self._module(batch if stays else torch.from_numpy(batch).to(self._device))
            result = (output[0] if isinstance(output, (tuple, list)) else output).float()
            return checked_output(result if stays else result.cpu().numpy(), batch, self._classes, self._path)

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


def torch_engine(model: Model, weights: Weights, device: str, *, measure: bool = True) -> ContractEngine:
    """Load the torch file of a model, or the weights of the network that its entry describes; see `load_engine`."""
    content, classes = weights.read(), model.given_channels
    return ContractEngine(model, load_torch(content, weights.path, device, classes, model.architecture))


def load_torch(
    content: bytes, path: Path, device: str, classes: int, description: Mapping[str, Any] | None = None
) -> Loaded:
    """Load a ``.pt2`` file of which nothing is read but the bytes given; `path` names it in messages. With a
    description (see `NativeDLLib.registry.architecture`) they are the weights of that network: a state dict of
    ``torch.save``, or a ``.safetensors`` file. The network has at least `classes` output channels, the background
    included. ModelError where torch or the device is not there, or the file is not such a network.
    """
    require("torch", "torch")
    chosen, text, notes = torch_device(device)
    if description is None:
        module = confined(ExportedNetwork, Pt2Archive(content, path), chosen, path)
        axes, activation = module.axes, module.activation
    else:
        try:
            module = load_network(description, read_weights(content)).to(chosen)
        except ModelError as error:
            raise ModelError(f"{path}: {error}", hint=error.hint) from error
        axes = 1 + len(description["input_shape"])
        layers = {str(index): (row["type"], [str(index - 1)]) for index, row in enumerate(description["architecture"])}
        activation = activation_of(str(len(layers) - 1), layers)
    runs = module if axes == 5 else partial(plane_by_plane, module)
    return Loaded(TorchNetwork(runs, chosen, text, classes, path), notes, activation)


def load_network(description: Mapping[str, Any], state_dict: Mapping[str, Any]) -> "torch.nn.Module":
    """Described network with given weights, ready for prediction. `state_dict` has a tensor for each canonical name
    (see `Plan.parameters`), not copied where it is float32. ModelError names a weight that is missing, not expected or
    of another shape.
    """
    plan = make_plan(description)
    torch = require("torch", "torch")
    from NativeDLLib.inference.module import DescribedNetwork

    weights = {name: value.detach().float() for name, value in matched(plan, state_dict).items()}
    # Without weights of its own, which would only be thrown away.
    with torch.device("meta"):
        network = DescribedNetwork(plan)
    counters = {name: torch.tensor(0) for name, _ in network.named_buffers() if name.endswith(COUNTER)}
    network.load_state_dict({**weights, **counters}, assign=True)
    return network.eval().requires_grad_(False)


def read_weights(content: bytes) -> dict[str, Any]:
    """Read a state dict without running what a pickle asks for; ModelError for anything but tensors by name."""
    torch = require("torch", "torch")
    try:
        # A file of safetensors begins with the size of its JSON, 64 bits, and then that.
        if content[8:9] == b"{":
            from safetensors.torch import load

            weights = confined(load, content)
        else:
            weights = load_tensors(content)
    except ImportError as error:
        hint = "install it with: pip install safetensors"
        raise ModelError("its weights need the package safetensors", hint=hint) from error
    # What torch makes of a damaged file ranges from RuntimeError to KeyError and its own pickle errors.
    except Exception as error:
        raise ModelError("its weights cannot be read: the file is damaged, or holds more than tensors") from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ModelError("its weights are not a state dict of tensors")
    return {str(name): value for name, value in weights.items()}
