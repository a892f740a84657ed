"""Labels on a fine grid from logits on a coarse one, without ever holding the fine logits.

Interpolated logits are weighted means of their neighbours. So a class whose highest logit in a block is below another's
lowest cannot win anywhere in it, and most blocks have one class left before anything is interpolated.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 32
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Axis:
    """How an axis of the output is read: each of its positions lies between two neighbours of the input.

    Attributes
    ----------
    first
        Index of the lower neighbour, never decreasing.
    weight
        How much the upper one counts, 0 to 1.
    size
        Voxels of the input.
    """

    first: npt.NDArray[np.intp]
    weight: Floats
    size: int

    @classmethod
    def linear(cls, positions: npt.NDArray[np.floating[Any]], size: int) -> Axis:
        """Interpolate at input indices in rising order; beyond the outermost voxels is the nearest of them."""
        inside = np.clip(positions, 0, size - 1)
        first = np.clip(np.floor(inside).astype(np.intp), 0, max(0, size - 2))
        return cls(first, (inside - first).astype(np.float32), size)

    @property
    def last(self) -> npt.NDArray[np.intp]:
        """Index of the upper neighbour."""
        return np.minimum(self.first + 1, self.size - 1)

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
    """A network's last layer, which makes logits of the features at a voxel: many of few.

    It is linear, so that it may follow what averages features: blending of patches, folds, interpolation.

    Attributes
    ----------
    weights, bias
        Arrays (classes, features) and (classes).
    """

    weights: Floats
    bias: Floats

    def __call__(self, features: Floats) -> Floats:
        """Return logits (classes, …) of features (features, …)."""
        result: Floats = np.tensordot(self.weights, features, 1)
        result += self.bias.reshape(-1, *[1] * (features.ndim - 1))
        return result


class LabelMaker:
    """Makes labels of logits that come a few planes at a time.

    Parameters
    ----------
    axes
        How the output's axes z, y and x are read from the logits'.
    head
        What makes logits of what comes, where that is features.
    """

    def __init__(self, axes: Sequence[Axis], head: Head | None = None) -> None:
        self._head = head
        self._z, self._y, self._x = axes
        self.labels: Labels = np.zeros([len(axis.first) for axis in axes], np.uint16)
        self._planes: npt.NDArray[Any] | None = None
        self._first = self._done = 0
        self._blocks = [list(_pieces(axis)) for axis in axes[1:]]

    def add(self, logits: npt.NDArray[Any]) -> None:
        """Take the next planes, an array (classes, z, y, x), and label what lies between those that are there."""
        planes = logits if self._planes is None else np.concatenate([self._planes, logits], axis=1)
        available = self._first + planes.shape[1]
        ready = int(np.searchsorted(self._z.last, available))
        starts = range(self._done, ready, _BLOCK)
        jobs = itertools.product([(start, min(start + _BLOCK, ready)) for start in starts], *self._blocks)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for _ in pool.map(lambda job: self._label(planes, *job), jobs):
                pass
        self._done = ready
        needed = int(self._z.first[ready]) if ready < len(self._z.first) else available
        keep = max(0, available - max(needed, self._first))
        self._planes, self._first = planes[:, planes.shape[1] - keep :].copy(), available - keep

    def _label(self, planes: npt.NDArray[Any], z: tuple[int, int], y: tuple[int, int], x: tuple[int, int]) -> None:
        (zs, by_z), (ys, by_y), (xs, by_x) = self._z.piece(*z), self._y.piece(*y), self._x.piece(*x)
        zs = slice(zs.start - self._first, zs.stop - self._first)
        part = planes[:, zs, ys, xs].astype(np.float32)
        if self._head is not None:
            part = self._head(part)
        place = (slice(*z), slice(*y), slice(*x))
        flat = part.reshape(len(part), -1)
        possible = np.flatnonzero(flat.max(axis=1) >= flat.min(axis=1).max())
        if len(possible) == 1:
            self.labels[place] = possible[0]
            return
        part = np.matmul(by_y, np.matmul(part[possible], by_x.T))
        values = np.matmul(by_z, part.reshape(*part.shape[:2], -1))
        best, label = values[0], np.full(values[0].shape, possible[0], np.uint16)
        for number, value in zip(possible[1:], values[1:], strict=True):
            label[value > best] = number
            np.maximum(best, value, out=best)
        self.labels[place] = label.reshape(self.labels[place].shape)


def _pieces(axis: Axis) -> list[tuple[int, int]]:
    count = len(axis.first)
    return [(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
