"""From a description, and weights, to a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from NativeDLLib.inference.architecture.check import make_plan
from NativeDLLib.inference.architecture.weights import COUNTER, matched
from NativeDLLib.inference.network import require

if TYPE_CHECKING:
    import torch


def build_module(description: Mapping[str, Any]) -> torch.nn.Module:
    """Build the torch module of a description, its weights initialised as torch does.

    Parameters
    ----------
    description
        As the room's docstring says.

    Raises
    ------
    ModelError
        As `check_architecture`, or where torch is missing.
    """
    plan = make_plan(description)
    require("torch", "torch")
    from NativeDLLib.inference.architecture.module import DescribedNetwork

    return DescribedNetwork(plan)


def load_network(description: Mapping[str, Any], state_dict: Mapping[str, Any]) -> torch.nn.Module:
    """Build a described network with given weights, ready for prediction.

    Parameters
    ----------
    description
        As the room's docstring says.
    state_dict
        A tensor for each canonical name (see `parameter_shapes`), in any floating-point type; not copied where it is
        float32.

    Raises
    ------
    ModelError
        Naming what is missing, not expected or of another shape.
    """
    plan = make_plan(description)
    torch = require("torch", "torch")
    from NativeDLLib.inference.architecture.module import DescribedNetwork

    weights = {name: value.detach().float() for name, value in matched(plan, state_dict).items()}
    # Without weights of its own, which would only be thrown away.
    with torch.device("meta"):
        network = DescribedNetwork(plan)
    counters = {name: torch.tensor(0) for name, _ in network.named_buffers() if name.endswith(COUNTER)}
    network.load_state_dict({**weights, **counters}, assign=True)
    return network.eval().requires_grad_(False)
