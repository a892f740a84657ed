"""Torch networks of registry entries, also those whose architecture is in the entry and not in the file."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.confined import confined, load_tensors
from NativeDLLib.inference.device import torch_device
from NativeDLLib.inference.engine import ContractEngine
from NativeDLLib.inference.network import Loaded, activation_of, plane_by_plane, require
from NativeDLLib.inference.torch_runtime import TorchNetwork, load_torch
from NativeDLLib.registry.architecture.check import COUNTER, make_plan, matched
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights

if TYPE_CHECKING:
    import torch


def torch_engine(model: Model, weights: Weights, device: str, *, measure: bool = True) -> ContractEngine:
    """Load the torch file of a model, or the weights of the network that its entry describes; see `load_engine`."""
    content, path, classes = weights.read(), weights.path, model.given_channels
    if model.architecture is None:
        return ContractEngine(model, load_torch(content, path, device, classes))
    return ContractEngine(model, load_described(content, path, model.architecture, device, classes))


def load_described(content: bytes, path: Path, description: Mapping[str, Any], device: str, classes: int) -> Loaded:
    """Load a described network (see `NativeDLLib.registry.architecture`) with weights from the bytes of a state dict of
    ``torch.save`` or of a ``.safetensors`` file, which `path` names in messages. It has at least `classes` output
    channels, the background included. ModelError where torch or the device is not there, or the file does not hold the
    weights of that network.
    """
    require("torch", "torch")
    chosen, text, notes = torch_device(device)
    try:
        module = load_network(description, read_weights(content)).to(chosen)
    except ModelError as error:
        raise ModelError(f"{path}: {error}", hint=error.hint) from error
    runs = module if len(description["input_shape"]) == 4 else partial(plane_by_plane, module)
    layers = {str(index): (row["type"], [str(index - 1)]) for index, row in enumerate(description["architecture"])}
    activation = activation_of(str(len(layers) - 1), layers)
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
