"""The interface of a network to the sliding window, its arrays (NumPy's or torch's), its last step, and its runtime."""

import contextlib
import importlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.errors import ModelError, NativeDLError

ArrayOrTensor = Any
"""An ndarray, or a torch tensor that stays on its device."""


def is_tensor(array: ArrayOrTensor) -> bool:
    """Tell whether an array is one of torch."""
    return not isinstance(array, np.ndarray)


def zeros(shape: Sequence[int], like: ArrayOrTensor) -> ArrayOrTensor:
    """Return zeros of the type and on the device of another array."""
    return like.new_zeros(tuple(shape)) if is_tensor(like) else np.zeros(shape, like.dtype)


def contiguous(array: ArrayOrTensor) -> ArrayOrTensor:
    """Return an array with its elements in order in memory."""
    return array.contiguous() if is_tensor(array) else np.ascontiguousarray(array)


def flipped(array: ArrayOrTensor, axes: Sequence[int]) -> ArrayOrTensor:
    """Return an array with some axes in the other direction."""
    return array.flip(tuple(axes)) if is_tensor(array) else np.flip(array, tuple(axes))


def transposed(array: ArrayOrTensor, axes: Sequence[int]) -> ArrayOrTensor:
    """Return an array with its axes in another order."""
    return array.permute(tuple(axes)) if is_tensor(array) else array.transpose(axes)


def joined(arrays: Sequence[ArrayOrTensor], axis: int) -> ArrayOrTensor:
    """Return a copy of arrays, one after the other along an axis."""
    if not is_tensor(arrays[0]):
        return np.concatenate(arrays, axis=axis)
    import torch

    return torch.cat(list(arrays), dim=axis)


def to_numpy(array: ArrayOrTensor) -> npt.NDArray[Any]:
    """Return an array in main memory."""
    result: npt.NDArray[Any] = array.cpu().numpy() if is_tensor(array) else array
    return result


class Network(Protocol):
    """A network on its device. ``device`` is the device in fact used, in words; ``concurrency`` the number of threads
    that call it at once, where that is faster.
    """

    device: str
    concurrency: int

    def to_device(self, array: npt.NDArray[Any]) -> ArrayOrTensor:
        """Return an array where the network takes its batches from and gives its results: a tensor on a GPU."""

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Logits (n, classes, z, y, x) for a batch (n, channels, z, y, x), in the memory of the batch. ModelError where
        the network cannot take it, or memory runs out.
        """


def plane_by_plane(run: Callable[[ArrayOrTensor], ArrayOrTensor], batch: ArrayOrTensor) -> ArrayOrTensor:
    """Return what a network of slices (n, channels, y, x) gives for each plane of a batch (n, channels, z, y, x)."""
    planes = [contiguous(batch[:, :, plane]) for plane in range(batch.shape[2])]
    results = [_with_channels(run(plane), plane) for plane in planes]
    # Another number of axes is for `checked_output` to refuse.
    return joined([result[:, :, None] for result in results], 2) if results[0].ndim == 4 else results[0]


def _with_channels(output: ArrayOrTensor, batch: ArrayOrTensor) -> ArrayOrTensor:
    """Output with the axis of channels, which networks that give one, such as labels, may leave out."""
    return output[:, None] if output.ndim == batch.ndim - 1 else output


def call_concurrently(network: Network, batch: ArrayOrTensor) -> list[ArrayOrTensor]:
    """Return the results of as many calls at the same time as the network is for, all of the same batch."""
    if network.concurrency == 1:
        return [network(batch)]  # torch would start threads of its own for another thread
    with ThreadPoolExecutor(network.concurrency) as pool:
        return list(pool.map(network, [batch] * network.concurrency))


@dataclass(frozen=True)
class Loaded:
    """A network with what came up while loading it."""

    network: Network
    warnings: Sequence[str] = ()
    activation: str = ""  # in what the network ends, as `activation_of` tells it


# Of two threads that put something else in the place of stdout one would leave it there.
_stdout = threading.RLock()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what packages print off stdout, which belongs to results and events; one thread at a time does so."""
    with _stdout, contextlib.redirect_stdout(io.StringIO()):
        yield


def require(module: str, extra: str, purpose: str = "this model", error: type[NativeDLError] = ModelError) -> Any:
    """Module of an optional package; `error` says for what it is needed and how it is installed."""
    try:
        return importlib.import_module(module)
    except ImportError as absent:
        told = f"{purpose} needs {module.partition('.')[0]}, which cannot be imported"
        raise error(told, hint=f"install it with: pip install 'NativeDL[{extra}]'") from absent


def checked_output(output: ArrayOrTensor, batch: ArrayOrTensor, classes: int, path: Path) -> ArrayOrTensor:
    """Output of a network; ModelError for another shape, too few classes, or values that are not finite."""
    output = _with_channels(output, batch)
    expected = (batch.shape[0], *batch.shape[2:])
    if output.ndim != 5 or (output.shape[0], *output.shape[2:]) != expected or output.shape[1] < classes:
        raise ModelError(
            f"{path}: gives an output of shape {output.shape} for an input of {batch.shape}; at least {classes} "
            "classes (background included) of the same size are needed"
        )
    if not (output.isfinite() if is_tensor(output) else np.isfinite(output)).all():
        raise ModelError(f"{path}: gives values that are not finite")
    return output


_ACTIVATIONS = {
    **{"sigmoid": "sigmoid", "hardsigmoid": "sigmoid", "argmax": "labels"},
    **dict.fromkeys(("softmax", "logsoftmax", "safesoftmax"), "softmax"),
}
# Move, copy or resize values, and leave what they mean.
_KEEP = {
    *("identity", "cast", "to", "tocopy", "alias", "clone", "contiguous", "detach", "clip", "clamp", "dropout"),
    *("transpose", "permute", "reshape", "view", "squeeze", "unsqueeze", "flatten", "pad"),
    *("greater", "greaterorequal", "gt", "ge", "round"),
    *("concat", "cat", "resize", "upsample", "upsampling", "upsamplenearest3d", "upsampletrilinear3d"),
}


Operators = Mapping[str, tuple[str, Sequence[str]]]
"""Operator that gives each value of a graph, and its inputs."""


def activation_of(output: str, operators: Operators) -> str:
    """Tell from a graph in what its `output` ends: ``sigmoid``, ``softmax``, ``labels`` where it decides itself, or
    nothing where the graph does not tell.
    """
    found = {kind for kind, _ in last_steps(output, operators)}
    return next((kind for kind in ("labels", "sigmoid", "softmax") if kind in found), "")


def last_steps(output: str, operators: Operators) -> Iterator[tuple[str, str]]:
    """Give what `activation_of` tells of each of the last steps of a graph, and the name of the value that it gives."""
    ahead, seen = [output], {output}
    while ahead:
        value = ahead.pop()
        operator, inputs = operators.get(value, ("", ()))
        name = operator.lower().replace("_", "")
        if name in _ACTIVATIONS:
            yield _ACTIVATIONS[name], value
        elif name in _KEEP:
            ahead += [value for value in inputs if value not in seen]
            seen |= {*inputs}
