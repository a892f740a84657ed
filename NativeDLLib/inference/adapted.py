"""A network that takes or gives something else than classes along (z, y, x), behind the same interface as others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.inference.network import ArrayOrTensor, Network, contiguous, joined, transposed, zeros


class AdaptedNetwork:
    """A network with its own array in another order, or with a channel for each structure and none for the background.

    `axes` are those of (z, y, x) in the network's order. Nothing else knows of that order: patches, mirrored axes and
    sizes are (z, y, x). Where there is a `threshold`, the background is a channel of that value before the network's
    own: the largest is the background where no structure is above the threshold, and one structure everywhere else.
    `marked` and `shared` count the voxels above it in one channel, and in several.
    """

    def __init__(self, network: Network, axes: Sequence[int], threshold: float | None) -> None:
        self.device, self.concurrency, self._network = network.device, network.concurrency, network
        self._there = [0, 1, *(2 + axis for axis in axes)]
        self._back = [int(place) for place in np.argsort(self._there)]
        self._threshold = threshold
        self.marked = self.shared = 0

    def to_device(self, array: npt.NDArray[Any]) -> ArrayOrTensor:
        """See `Network`."""
        return self._network.to_device(array)

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Logits (n, classes, z, y, x) for a batch (n, channels, z, y, x); see `Network`."""
        given = transposed(self._network(contiguous(transposed(batch, self._there))), self._back)
        if self._threshold is None:
            return given
        if given.shape[1] > 1:
            count = (given > self._threshold).sum(1)
            self.marked, self.shared = self.marked + int((count > 0).sum()), self.shared + int((count > 1).sum())
        return joined([zeros((len(given), 1, *given.shape[2:]), given) + self._threshold, given], 1)
