"""Whether weights are those of an architecture, told before any of them is used."""

from collections.abc import Mapping
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.architecture.check import Plan
from NativeDLLib.registry.architecture.rules import Shape

# What torch's batch normalisation counts in training; prediction has no use for it.
COUNTER = "num_batches_tracked"


def matched(plan: Plan, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a plan, tensors or arrays by canonical name, in the order of its layers. ModelError names a weight
    that is missing, not expected, of another shape, or no floating-point numbers.
    """
    given = {name: value for name, value in state_dict.items() if not str(name).endswith(f".{COUNTER}")}
    wanted = plan.parameters
    wrong = [_mismatch(name, wanted[name], given[name]) for name in wanted if name in given]
    problems = (
        ("missing: ", [name for name in wanted if name not in given]),
        ("not expected: ", [str(name) for name in given if name not in wanted]),
        ("", [text for text in wrong if text]),
    )
    said = [intro + _some(names) for intro, names in problems if names]
    if said:
        raise ModelError(f"the weights do not fit the architecture: {'; '.join(said)}")
    return {name: given[name] for name in wanted}


def _mismatch(name: str, wanted: Shape, value: Any) -> str:
    dense = str(getattr(value, "layout", "torch.strided")) == "torch.strided"
    if not dense or "float" not in str(getattr(value, "dtype", "")):
        return f"{name} is not a dense tensor of floating-point numbers"
    shape = tuple(value.shape)
    return "" if shape == wanted else f"{name} has the shape {list(shape)} instead of {list(wanted)}"


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
