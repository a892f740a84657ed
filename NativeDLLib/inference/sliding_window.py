"""A network that takes patches, run over a whole volume (Isensee et al., Nature Methods 2021, nnU-Net's scheme)."""

import contextlib
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from NativeDLLib.core.arrays import Array, Floats, Scratch, in_threads
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.network import ArrayOrTensor, Network, contiguous, flipped, is_tensor, to_numpy, zeros
from NativeDLLib.inference.preprocess import Prepared

Window = tuple[slice, ...]  # where a patch is, (z, y, x)
PLANES = 24  # that are given at once at most: all that are finished would need as much memory again as the sums
# The centre of a patch, and its corners, whose weight must still be something to divide by in half precision.
_LARGEST_WEIGHT, _SMALLEST_WEIGHT = 10.0, 2.0**-24


@dataclass(frozen=True)
class WindowSettings:
    """How patches of a volume are laid, looked at and blended. With `features`, of which logits are made later, those
    of an ensemble follow each other, and then comes a channel that is 1 where every patch was skipped.
    """

    patch_size: Sequence[int]  # voxels (z, y, x)
    step: float = 0.5  # distance between patches as a fraction of their size, above 0 and at most 1
    mirror_axes: Sequence[int] = ()  # 0 is z; logits are averaged over all combinations of flips
    half: bool = False  # sum in half precision as nnU-Net does: its rounding decides between nearly equal classes
    features: bool = False  # whether networks give features, and not logits
    skip_air: bool = False  # whether patches without tissue, but for the first, are left out; nothing is found in them
    around_body: bool = False  # whether patches are laid around the tissue of the volume; nothing is found beside it


def sliding_window(
    prepared: Prepared, networks: Sequence[Network], settings: WindowSettings, progress: Progress
) -> Iterator[ArrayOrTensor]:
    """Run networks over overlapping patches, blend their logits with Gaussian weights, and average the networks. Each
    is called with one patch at a time, by as many threads as it is for. Yields logits (classes, z, y, x) of the next
    planes, as soon as no patch will change them: float32, or float16 with `half`, where the networks give theirs; where
    every patch was skipped, 0, and 1 for the background. No more planes are held than a patch has.
    """
    patch_size, body, done = settings.patch_size, prepared.body, 0
    padded, inside = _pad(prepared.volume, patch_size, prepared.fill, prepared.reflect)
    # An axis that was surrounded has a single window: places along it need not be moved by what is before them.
    covered = [inside[0], *(body.extent() if body and settings.around_body else inside)[1:]]
    sizes = zip(covered, padded.shape[1:], patch_size, strict=True)
    layers, *sides = [windows_along(part, size, patch, settings.step) for part, size, patch in sizes]
    columns, windows = list(itertools.product(*sides)), list(itertools.product(layers, *sides))
    axes = [axis + 1 for axis in settings.mirror_axes]
    flips = [some for count in range(len(axes) + 1) for some in itertools.combinations(axes, count)]
    weights = gaussian(patch_size).astype(np.float16 if settings.half and not settings.features else np.float32)
    blend = _Blend(networks[0].to_device(weights), padded.shape[2:], progress)
    means = blend.features if settings.features else blend.logits
    padded = networks[0].to_device(padded)

    def look(window: Window) -> Iterator[ArrayOrTensor]:
        patch = contiguous(padded[:, *window])
        for network in networks:
            with progress.forward:
                logits = _flipped_mean(network, patch, flips)
            yield logits

    # The first one is looked at all the same: it tells how many classes there are.
    needed = [True, *(not (body and settings.skip_air and body.is_air(window)) for window in windows[1:])]
    concurrency = min(network.concurrency for network in networks)
    with contextlib.closing(_in_order(look, itertools.compress(windows, needed), concurrency)) as found:
        for layer, following in itertools.pairwise([*(layer.start for layer in layers), padded.shape[1]]):
            for column in columns:
                progress.check()
                if needed[done]:
                    blend.add(column, next(found))
                done += 1
                progress.update("infer", done / len(windows))
            finished = min(following - layer, patch_size[0])
            first, end = max(inside[0].start - layer, 0), min(inside[0].stop - layer, finished)
            parts = math.ceil(max(0, end - first) / PLANES)
            # As many in each: what takes them does so in larger blocks.
            for ends in itertools.pairwise(np.linspace(first, end, parts + 1).astype(int)):
                yield means((slice(*ends), *inside[1:]))
            blend.move_on(finished)


def _in_order(
    look: Callable[[Window], Iterator[ArrayOrTensor]], windows: Iterable[Window], concurrency: int
) -> Generator[Iterable[ArrayOrTensor], None, None]:
    """Give what is found in each window, in their order; where several are looked at at once, ahead of who asks."""
    if concurrency == 1:
        yield from map(look, windows)
        return
    pool = ThreadPoolExecutor(concurrency)
    try:
        jobs = (pool.submit(lambda window: list(look(window)), window) for window in windows)
        # One more waits, so that no thread does.
        ahead = deque(itertools.islice(jobs, concurrency + 1))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(itertools.islice(jobs, 1))
    finally:
        pool.shutdown(cancel_futures=True)


class _Blend:
    """Weighted sums of each network's outputs for patches, over as many planes as a patch has. They are kept where the
    networks give these, or in main memory where a GPU has no room. `weights` (z, y, x) are those of the voxels of a
    patch, of the type of the sums, and `size` is that of a plane (y, x).
    """

    def __init__(self, weights: ArrayOrTensor, size: Sequence[int], progress: Progress) -> None:
        self._weights, self._progress = weights, progress
        self._weight_sums = zeros((len(weights), *size), weights)
        self._sums: list[ArrayOrTensor] = []
        self._scratch = Scratch()

    def add(self, column: Window, outputs: Iterable[ArrayOrTensor]) -> None:
        """Add what the networks gave (channels, z, y, x) for the patch at a place (y, x)."""
        for fold, logits in enumerate(outputs):
            if len(self._sums) == fold:
                room = self._room(len(logits))  # which may replace what is there
                self._sums.append(room)
            self._add(self._sums[fold][:, :, *column], logits)
        self._weight_sums[:, *column] += self._weights

    def _add(self, sums: ArrayOrTensor, logits: ArrayOrTensor) -> None:
        if is_tensor(sums):
            sums += logits.to(sums.dtype) * self._weights
        elif "torch" not in sys.modules:

            def add_plane(z: int) -> None:
                weighted = self._scratch.array("weighted", logits[:, z].shape, logits.dtype)
                sums[:, z] += np.multiply(logits[:, z], self._weights[z], out=weighted)

            in_threads(add_plane, range(len(self._weights)))
        else:
            # NumPy takes twice as long, and ten times in half precision, which is rounded after each step.
            import torch

            there, weights, weighted = map(torch.from_numpy, (sums, self._weights, to_numpy(logits)))
            if there.dtype == torch.float32:
                there.addcmul_(weighted, weights)
            else:
                there.add_(weighted.mul_(weights))

    def features(self, part: Window) -> ArrayOrTensor:
        """Return the mean of each network's features in a part (z, y, x), and whether nothing was added, 0 or 1."""
        weights, start = self._weight_sums[part], 0
        result = zeros((sum(map(len, self._sums)) + 1, *weights.shape), weights)
        for sums in self._sums:
            _divide(sums[:, *part], weights, result[start : start + len(sums)])
            start += len(sums)
        result[start] = weights == 0
        return result

    def logits(self, part: Window) -> ArrayOrTensor:
        """Return the mean of all networks' logits in a part (z, y, x); the background where nothing was added."""
        weights = self._weight_sums[part]
        total = _divide(self._sums[0][:, *part], weights)
        for sums in self._sums[1:]:
            total += _divide(sums[:, *part], weights)
        if len(self._sums) > 1:
            total /= len(self._sums)
        total[0] += weights == 0
        return total

    def move_on(self, planes: int) -> None:
        """Forget the first planes, and make room behind the last ones."""
        kept = len(self._weights) - planes

        def shift(channel: Array) -> None:
            # All at once would be copied first.
            for z in range(kept):
                channel[z] = channel[z + planes]
            channel[kept:] = 0

        for array in (*self._sums, self._weight_sums[None]):
            if is_tensor(array):
                array[:, :kept] = array[:, planes:].clone()
                array[:, kept:] = 0
            else:
                in_threads(shift, array)

    def _room(self, channels: int) -> ArrayOrTensor:
        size = (channels, *self._weight_sums.shape)
        if is_tensor(self._weights):
            import torch

            try:
                return zeros(size, self._weights)
            except torch.OutOfMemoryError:
                self._progress.warn("the GPU has no room for a slab of results: main memory is used, which is slow")
            self._weights, self._weight_sums = to_numpy(self._weights), to_numpy(self._weight_sums)
            self._sums = [to_numpy(sums) for sums in self._sums]
        return zeros(size, self._weights)


def _divide(sums: ArrayOrTensor, weights: ArrayOrTensor, out: ArrayOrTensor = None) -> ArrayOrTensor:
    """Weighted means, zero where nothing was added: there the divisor is the smallest weight that there is."""
    result = zeros(sums.shape, sums) if out is None else out
    divisor = weights.clip(_SMALLEST_WEIGHT)
    if is_tensor(sums):
        result[...] = sums / divisor
    else:
        in_threads(lambda channel: np.divide(sums[channel], divisor, out=result[channel]), range(len(sums)))
    return result


def windows_along(part: slice, size: int, patch: int, step: float) -> list[slice]:
    """Return evenly spread windows of `patch` voxels that cover a part of an axis of `size`, or one around less."""
    length = max(patch, part.stop - part.start)
    first = min(max(0, (part.start + part.stop - length) // 2), size - length)
    count = math.ceil((length - patch) / (patch * step)) + 1
    starts = first + np.round(np.linspace(0, length - patch, count)).astype(int)
    return [slice(start, start + patch) for start in starts.tolist()]


def gaussian(patch_size: Sequence[int]) -> Floats:
    """Return the weight (z, y, x) of each voxel of a patch: a Gaussian of an eighth of its size, 10 in the centre."""
    profiles = [np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 8)) ** 2) for size in patch_size]
    weights = math.prod(np.ix_(*profiles), start=_LARGEST_WEIGHT)
    return np.asarray(np.maximum(weights, _SMALLEST_WEIGHT), np.float32)


def _flipped_mean(network: Network, patch: ArrayOrTensor, flips: Sequence[tuple[int, ...]]) -> ArrayOrTensor:
    total: ArrayOrTensor = None
    for axes in flips:
        logits = flipped(network(contiguous(flipped(patch, axes))[None])[0], axes)
        total = contiguous(logits) if total is None else total + logits
    return total / len(flips) if len(flips) > 1 else total


def _pad(volume: Floats, patch_size: Sequence[int], fill: Floats, reflect: bool) -> tuple[Floats, tuple[slice, ...]]:
    """Surround a volume on both sides until it is as large as a patch; also return where it then lies."""
    size = [max(n, p) for n, p in zip(volume.shape[1:], patch_size, strict=True)]
    inside = tuple(slice((m - n) // 2, (m - n) // 2 + n) for m, n in zip(size, volume.shape[1:], strict=True))
    if size == list(volume.shape[1:]):
        return volume, inside
    padded = np.empty((len(volume), *size), volume.dtype)
    padded[...] = np.reshape(fill, (-1, 1, 1, 1))
    padded[:, *inside] = volume
    if reflect:
        lacking = (inside[0].start, size[0] - inside[0].stop)
        padded[:, :, *inside[1:]] = np.pad(volume, [(0, 0), lacking, (0, 0), (0, 0)], mode="symmetric")
    return padded, inside
