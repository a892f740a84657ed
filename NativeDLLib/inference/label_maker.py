"""Labels on a fine grid from logits on a coarse one, without ever holding the fine logits.

Interpolated logits are weighted means of their neighbours. So a class whose highest logit in a block is below another's
lowest cannot win anywhere in it, and most blocks have one class left before anything is interpolated.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.arrays import Array, Floats, Index, Labels, Scratch, in_threads
from NativeDLLib.inference.network import ArrayOrTensor, is_tensor, joined

BLOCK = 32
"""Voxels of the output along each axis that a thread labels at once."""
# Bytes of logits that are made at once on a GPU.
_AT_ONCE = 2**29


@dataclass(frozen=True)
class Axis:
    """Interpolation along an axis: each position of the output lies between two neighbours of the input. ``first`` is
    the index of the lower neighbour, never decreasing; ``weight`` is the share of the upper one; ``size`` are the
    voxels of the input.
    """

    first: Index
    weight: Floats
    size: int

    @classmethod
    def linear(cls, positions: npt.NDArray[np.floating[Any]], size: int) -> "Axis":
        """Interpolate at input indices in rising order; beyond the outermost voxels is the nearest of them."""
        inside = np.clip(positions, 0, size - 1)
        first = np.clip(np.floor(inside).astype(np.intp), 0, max(0, size - 2))
        return cls(first, (inside - first).astype(np.float32), size)

    @property
    def last(self) -> Index:
        """Index of the upper neighbour, or of the lower one where that alone counts."""
        return self.first + (self.weight > 0)

    def piece(self, start: int, stop: int) -> tuple[slice, Floats]:
        """Return which part of the input some positions need, and the matrix (positions, part) that makes them."""
        first, last, weight = self.first[start:stop], self.last[start:stop], self.weight[start:stop]
        low = int(first[0])
        matrix = np.zeros((len(first), int(last[-1]) + 1 - low), np.float32)
        rows = np.arange(len(first))
        matrix[rows, first - low] = 1 - weight
        matrix[rows, last - low] += weight
        return slice(low, low + matrix.shape[1]), matrix


@dataclass(frozen=True)
class Head:
    """A network's linear last layer, which makes many logits of few features. Weights are (classes, features), bias
    (classes). Because it is linear, it may follow all averages of features: blending of patches, folds, interpolation.
    """

    weights: Floats
    bias: Floats


class LabelMaker:
    """Labels of logits, or of features for `head`, by a few planes; `axes` interpolate the output's z, y and x."""

    def __init__(self, axes: Sequence[Axis], head: Head | None = None) -> None:
        self._head, self._scratch = head, Scratch()
        self._z, self._y, self._x = axes
        self.labels: Labels = np.zeros([len(axis.first) for axis in axes], np.uint16)
        self._planes: ArrayOrTensor | None = None
        self._first = self._done = 0
        self._blocks = [_pieces(axis, 0, len(axis.first)) for axis in axes[1:]]

    def add(self, logits: ArrayOrTensor) -> None:
        """Label the output between the next planes (classes, z, y, x) and those before, on a GPU where they are."""
        before = 0 if self._planes is None else self._planes.shape[1]
        available = self._first + before + logits.shape[1]
        ready = int(np.searchsorted(self._z.last, available))
        if is_tensor(logits):
            self._label_there(logits if self._planes is None else joined([self._planes, logits], 1), ready)
        else:
            jobs = itertools.product(_pieces(self._z, self._done, ready), *self._blocks)
            in_threads(lambda job: self._label(logits, *job), jobs)
        self._done = ready
        needed = int(self._z.first[ready]) if ready < len(self._z.first) else available
        keep, new = max(0, available - max(needed, self._first)), logits.shape[1]
        kept = [logits[:, max(0, new - keep) :]]
        if self._planes is not None and keep > new:
            kept.insert(0, self._planes[:, before + new - keep :])
        self._planes = joined(kept, 1)
        self._first = available - keep

    def _label_there(self, planes: ArrayOrTensor, ready: int) -> None:
        """Label what is ready where the planes are: a GPU need not know which classes are possible in a block."""
        import torch

        def there(values: Floats) -> ArrayOrTensor:
            return torch.from_numpy(values).to(planes.device)

        shape = self.labels.shape[1:]
        (y, y_matrix), (x, x_matrix) = self._y.piece(0, shape[0]), self._x.piece(0, shape[1])
        along_y, along_x = there(y_matrix), there(np.ascontiguousarray(x_matrix.T))
        head = None if self._head is None else (there(self._head.weights), there(self._head.bias)[:, None])
        channels = len(planes) + (0 if self._head is None else len(self._head.bias))
        step = max(1, _AT_ONCE // (4 * channels * shape[0] * shape[1]))
        for start in range(self._done, ready, step):
            stop = min(start + step, ready)
            z, z_matrix = self._z.piece(start, stop)
            part = planes[:, z.start - self._first : z.stop - self._first, y, x].float()
            part = torch.matmul(there(z_matrix), part.flatten(2)).unflatten(2, part.shape[2:])
            values = torch.matmul(torch.matmul(along_y, part), along_x).flatten(1)
            if head is not None:
                values = torch.addmm(head[1], head[0], values)
            best = values.argmax(0)
            self.labels[start:stop] = best.to(torch.int32).cpu().numpy().reshape(-1, *shape)

    def _label(self, logits: Array, z: "_Piece", y: "_Piece", x: "_Piece") -> None:
        array = self._scratch.array
        part = array("part", (len(logits), *(piece.source.stop - piece.source.start for piece in (z, y, x))))
        # Some may be of the planes that came before.
        new = self._first + (0 if self._planes is None else self._planes.shape[1])
        start, stop = (min(max(0, end - new), logits.shape[1]) for end in (z.source.start, z.source.stop))
        old = part.shape[1] - (stop - start)
        if self._planes is not None:
            first = z.source.start - self._first
            part[:, :old] = self._planes[:, first : first + old, y.source, x.source]
        part[:, old:] = logits[:, start:stop, y.source, x.source]
        if self._head is not None:
            features, part = part, array("logits", (len(self._head.bias), *part.shape[1:]))
            np.matmul(self._head.weights, features.reshape(len(features), -1), out=part.reshape(len(part), -1))
            part += self._head.bias[:, None, None, None]
        place = (z.target, y.target, x.target)
        flat = part.reshape(len(part), -1)
        possible = np.flatnonzero(flat.max(axis=1) >= flat.min(axis=1).max())
        if len(possible) == 1:
            self.labels[place] = possible[0]
            return
        part = np.take(part, possible, axis=0, out=array("possible", (len(possible), *part.shape[1:])), mode="clip")
        if x.matrix is not None:
            # One product of two matrices is twice as fast as one for each plane.
            shape = (*part.shape[:-1], len(x.matrix))
            rows = part.reshape(-1, part.shape[-1])
            part = np.matmul(rows, x.matrix.T, out=array("x", (len(rows), len(x.matrix)))).reshape(shape)
        if y.matrix is not None:
            part = np.matmul(y.matrix, part, out=array("y", (*part.shape[:2], len(y.matrix), part.shape[3])))
        values = part.reshape(*part.shape[:2], -1)
        if z.matrix is not None:
            values = np.matmul(z.matrix, values, out=array("z", (len(values), len(z.matrix), values.shape[2])))
        self.labels[place] = possible[_largest(values, array)].reshape(self.labels[place].shape)


@dataclass(frozen=True)
class _Piece:
    """Some positions of the output along an axis, what part of the input they need, and how it makes them."""

    target: slice
    source: slice
    matrix: Floats | None  # None where they are the input


def _pieces(axis: Axis, start: int, stop: int) -> list[_Piece]:
    pieces = []
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        source, matrix = axis.piece(first, last)
        is_unit = matrix.shape[0] == matrix.shape[1] and bool((matrix.diagonal() == 1).all())
        pieces.append(_Piece(slice(first, last), source, None if is_unit else matrix))
    return pieces


def _largest(values: Floats, array: Callable[..., Array]) -> npt.NDArray[np.integer[Any]]:
    """Return the index of the largest along the first axis, of the first of equal ones; NumPy's own takes ten times."""
    kind, shape = np.uint8 if len(values) <= 256 else np.uint16, values.shape[1:]
    best, index = array("best", shape), array("index", shape, kind)
    larger, here = array("larger", shape, bool), array("here", shape, kind)
    best[...], index[...] = values[0], 0
    for number, value in enumerate(values[1:], 1):
        np.greater(value, best, out=larger)
        np.multiply(larger, kind(number), out=here)
        np.maximum(index, here, out=index)
        np.maximum(best, value, out=best)
    return index
