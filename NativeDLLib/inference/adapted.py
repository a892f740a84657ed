"""A network that takes its array otherwise than this library has it, behind the same interface as others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.inference.network import ArrayOrTensor, Network, contiguous, transposed


class AdaptedNetwork:
    """A network whose own array has the axes z, y and x in another order; see `Network`.

    `axes` are those of (z, y, x) in the network's order. Nothing else knows of that order: patches, mirrored axes and
    sizes are (z, y, x).
    """

    def __init__(self, network: Network, axes: Sequence[int]) -> None:
        self.device, self.concurrency, self._network = network.device, network.concurrency, network
        self._there = [0, 1, *(2 + axis for axis in axes)]
        self._back = [int(place) for place in np.argsort(self._there)]

    def to_device(self, array: npt.NDArray[Any]) -> ArrayOrTensor:
        """See `Network`."""
        return self._network.to_device(array)

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Logits (n, classes, z, y, x) for a batch (n, channels, z, y, x); see `Network`."""
        return transposed(self._network(contiguous(transposed(batch, self._there))), self._back)
