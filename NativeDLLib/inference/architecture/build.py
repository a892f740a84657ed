"""From a description, and weights, to a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from NativeDLLib.errors import ModelError
from NativeDLLib.inference.architecture.check import make_plan, shapes_of
from NativeDLLib.inference.network import require

if TYPE_CHECKING:
    import torch

# Counts batches in training; prediction has no use for it.
_COUNTER = "num_batches_tracked"


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

    wanted = shapes_of(plan)
    given = {name: value for name, value in state_dict.items() if not str(name).endswith(_COUNTER)}
    _compare(torch, wanted, given)
    # Without weights of its own, which would only be thrown away.
    with torch.device("meta"):
        network = DescribedNetwork(plan)
    counters = {name: torch.tensor(0) for name, _ in network.named_buffers() if name.endswith(_COUNTER)}
    weights = {name: given[name].detach().float() for name in wanted}
    network.load_state_dict({**weights, **counters}, assign=True)
    return network.eval().requires_grad_(False)


def _compare(torch: Any, wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Any]) -> None:
    problems = []
    if missing := [name for name in wanted if name not in given]:
        problems.append(f"missing: {_some(missing)}")
    if unexpected := [str(name) for name in given if name not in wanted]:
        problems.append(f"not expected: {_some(unexpected)}")
    if wrong := [_mismatch(torch, name, wanted[name], given[name]) for name in wanted if name in given]:
        wrong = [text for text in wrong if text]
        problems += [_some(wrong)] if wrong else []
    if problems:
        raise ModelError(f"the weights do not fit the architecture: {'; '.join(problems)}")


def _mismatch(torch: Any, name: str, wanted: tuple[int, ...], value: Any) -> str:
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or not value.is_floating_point():
        return f"{name} is not a dense tensor of floating-point numbers"
    shape = tuple(value.shape)
    return "" if shape == wanted else f"{name} has the shape {list(shape)} instead of {list(wanted)}"


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
