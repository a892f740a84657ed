"""A network that takes patches, run over a whole volume (Isensee et al., Nature Methods 2021, nnU-Net's scheme)."""

import contextlib
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from NativeDLLib.core.arrays import Array, Floats, Scratch, in_threads
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference import network as ops
from NativeDLLib.inference.network import ArrayOrTensor, Network, contiguous, copied, flipped, is_tensor, to_numpy
from NativeDLLib.inference.preprocess import Prepared

Window = tuple[slice, ...]
"""Where a patch is, (z, y, x)."""

PLANES = 24
"""Planes that are given at once at most: all that are finished would need as much memory again as the sums."""
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
    """Run networks over overlapping patches, blend their logits with Gaussian weights, and average the networks. Each,
    or each fold of an ensemble, is called with one patch at a time, by as many threads as it is for. Yields logits
    (classes, z, y, x) of the next planes, as soon as no patch will change them: float32, or float16 with `half`, where
    the networks give theirs; where every patch was skipped, 0, and 1 for the background. No more planes are held than a
    patch has.
    """
    volume, patch_size, step = prepared.volume, settings.patch_size, settings.step
    padded, (_, inside, *across) = _pad(volume, patch_size, prepared.fill, prepared.reflect)
    starts = window_starts(padded.shape[1], patch_size[0], step)
    body = prepared.body
    part = body.extent() if body and settings.around_body else tuple(slice(0, n) for n in volume.shape[1:])
    rest = [
        _starts_in(slice(p.start + i.start, p.stop + i.start), n, patch, step)
        for p, i, n, patch in zip(part[1:], across, padded.shape[2:], patch_size[1:], strict=True)
    ]
    sides = [[slice(start, start + size) for start in row] for row, size in zip(rest, patch_size[1:], strict=True)]
    columns = list(itertools.product(*sides))
    axes = settings.mirror_axes
    flips = [some for count in range(len(axes) + 1) for some in itertools.combinations(axes, count)]
    weights = gaussian(patch_size).astype(np.float16 if settings.half and not settings.features else np.float32)
    depth, done = patch_size[0], 0
    blend = _Blend(networks[0].to_device(weights), (depth, *padded.shape[2:]))
    padded = networks[0].to_device(padded)

    def look(window: Window) -> Iterator[ArrayOrTensor]:
        patch = contiguous(padded[:, *window])
        for network in networks:
            with progress.forward:
                logits = _flipped_mean(network, patch, flips)
            yield logits

    def is_needed(window: Window) -> bool:
        if body is None or not settings.skip_air:
            return True
        pairs = zip(window, (inside, *across), strict=True)
        return not body.is_air(tuple(slice(w.start - i.start, w.stop - i.start) for w, i in pairs))

    windows = [(slice(start, start + depth), *column) for start in starts for column in columns]
    # The first one is looked at all the same: it tells how many classes there are.
    needed = [True, *map(is_needed, windows[1:])]
    concurrency = min(network.concurrency for network in networks)
    with contextlib.closing(_in_order(look, itertools.compress(windows, needed), concurrency)) as found:
        for start, following in itertools.pairwise([*starts, padded.shape[1]]):
            for column in columns:
                progress.check()
                if needed[done]:
                    for fold, logits in enumerate(next(found)):
                        blend.add(fold, column, logits, progress)
                    blend.count(column)
                done += 1
                progress.update("infer", done / len(windows))
            finished = min(following - start, depth)
            planes = slice(max(inside.start - start, 0), min(inside.stop - start, finished))
            parts = math.ceil(max(0, planes.stop - planes.start) / PLANES)
            # As many in each: what takes them does so in larger blocks.
            for ends in itertools.pairwise(np.linspace(planes.start, planes.stop, parts + 1).astype(int)):
                some = (slice(*ends), *across)
                yield blend.features(some) if settings.features else blend.logits(some)
            blend.move_on(finished)


def _in_order(
    look: Callable[[Window], Iterator[ArrayOrTensor]], windows: Iterable[Window], concurrency: int
) -> Generator[Iterable[ArrayOrTensor], None, None]:
    """Give what is found in each window, in their order; where several are looked at at once, ahead of who asks."""
    if concurrency == 1:
        yield from map(look, windows)
        return
    ahead = deque[Future[list[ArrayOrTensor]]]()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for window in windows:
                ahead.append(pool.submit(lambda window: list(look(window)), window))
                # One more waits, so that no thread does.
                if len(ahead) > concurrency:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Blend:
    """Weighted sums of the networks' outputs for patches, each network's own, over as many planes as a patch has. They
    are kept where the networks give their results, or in main memory where a GPU has no room for them. `weights` are
    those of the voxels of a patch (z, y, x); their dtype is that of the sums. `size` are the voxels (z, y, x).
    """

    def __init__(self, weights: ArrayOrTensor, size: Sequence[int]) -> None:
        self._weights = weights
        self._weight_sums = ops.zeros(size, weights)
        self._sums: list[ArrayOrTensor] = []
        self._scratch = Scratch()

    def add(self, fold: int, column: Window, logits: ArrayOrTensor, progress: Progress) -> None:
        """Add what a network gave (channels, z, y, x) for the patch at a place (y, x)."""
        if len(self._sums) == fold:
            self._sums += [self._room(len(logits), progress)]
        sums = self._sums[fold][:, :, *column]
        if is_tensor(sums):
            sums += logits.to(sums.dtype) * self._weights
        elif "torch" not in sys.modules:
            values = to_numpy(logits)

            def add_plane(z: int) -> None:
                weighted = self._scratch.array("weighted", values[:, z].shape, values.dtype)
                sums[:, z] += np.multiply(values[:, z], self._weights[z], out=weighted)

            in_threads(add_plane, range(len(self._weights)))
        else:
            # NumPy takes twice as long, and ten times in half precision, which is rounded after each step.
            import torch

            there, weights = torch.from_numpy(sums), torch.from_numpy(self._weights)
            weighted = torch.from_numpy(to_numpy(logits))
            if there.dtype == torch.float32:
                there.addcmul_(weighted, weights)
            else:
                there.add_(weighted.mul_(weights))

    def count(self, column: Window) -> None:
        """Note that every network has added a patch at a place."""
        self._weight_sums[:, *column] += self._weights

    def features(self, part: Window) -> ArrayOrTensor:
        """Return the mean of each network's features in a part (z, y, x), and whether nothing was added, 0 or 1."""
        divisor, nowhere = self._weights_in(part)
        result = ops.zeros((sum(map(len, self._sums)) + 1, *divisor.shape), divisor)
        start = 0
        for sums in self._sums:
            _divide(sums[:, *part], divisor, result[start : start + len(sums)])
            start += len(sums)
        result[start] = nowhere
        return result

    def logits(self, part: Window) -> ArrayOrTensor:
        """Return the mean of all networks' logits in a part (z, y, x); the background where nothing was added."""
        divisor, nowhere = self._weights_in(part)
        total: ArrayOrTensor = None
        for sums in self._sums:
            mean = _divide(sums[:, *part], divisor, ops.zeros((len(sums), *divisor.shape), divisor))
            total = mean if total is None else total + mean
        if len(self._sums) > 1:
            total /= len(self._sums)
        total[0] += nowhere
        return total

    def move_on(self, planes: int) -> None:
        """Forget the first planes, and make room behind the last ones."""
        for array in (*self._sums, self._weight_sums[None]):
            kept = array.shape[1] - planes
            if is_tensor(array):
                array[:, :kept] = copied(array[:, planes:])
                array[:, kept:] = 0
            else:
                in_threads(lambda channel: _shift(channel, planes), array)

    def _weights_in(self, part: Window) -> tuple[ArrayOrTensor, ArrayOrTensor]:
        """Divisor of the sums in a part, and a mask of its voxels without any, as 0 and 1."""
        weights = self._weight_sums[part]
        nowhere = ops.zeros(weights.shape, weights)
        nowhere[weights == 0] = 1
        # The smallest that there is, so that nothing but the zeros of what was skipped is changed.
        return weights.clip(_SMALLEST_WEIGHT), nowhere

    def _room(self, channels: int, progress: Progress) -> ArrayOrTensor:
        size = (channels, *self._weight_sums.shape)
        if not is_tensor(self._weights):
            return ops.zeros(size, self._weights)
        import torch

        try:
            return ops.zeros(size, self._weights)
        except torch.OutOfMemoryError:
            progress.warn("the GPU has no room for the results of a slab; they are kept in main memory, which is slow")
        self._weights, self._weight_sums = to_numpy(self._weights), to_numpy(self._weight_sums)
        self._sums = [to_numpy(sums) for sums in self._sums]
        return ops.zeros(size, self._weights)


def _divide(values: ArrayOrTensor, divisor: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
    if is_tensor(values):
        out[...] = values / divisor
    else:
        in_threads(lambda channel: np.divide(values[channel], divisor, out=out[channel]), range(len(values)))
    return out


def _shift(planes: Array, count: int) -> None:
    """Move planes to where the ones so many before them are; zeros come after the last one."""
    kept = len(planes) - count
    for z in range(kept):
        planes[z] = planes[z + count]
    planes[kept:] = 0


def window_starts(size: int, patch: int, step: float) -> list[int]:
    """Return where windows of `patch` voxels start along an axis of `size`, evenly spread, the last one at the end."""
    count = int(np.ceil((size - patch) / (patch * step))) + 1
    if count == 1:
        return [0]
    return [int(np.round((size - patch) / (count - 1) * i)) for i in range(count)]


def _starts_in(part: slice, size: int, patch: int, step: float) -> list[int]:
    """Return where windows start that cover a part of an axis of `size`, or a patch around it where that is more."""
    length = max(patch, part.stop - part.start)
    first = min(max(0, (part.start + part.stop - length) // 2), size - length)
    return [first + start for start in window_starts(length, patch, step)]


def gaussian(patch_size: Sequence[int]) -> Floats:
    """Return the weight (z, y, x) of each voxel of a patch: a Gaussian of an eighth of its size, 10 in the centre."""
    result = np.full((1,) * len(patch_size), _LARGEST_WEIGHT)
    for axis, size in enumerate(patch_size):
        profile = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 8)) ** 2)
        result = result * profile.reshape([-1 if a == axis else 1 for a in range(len(patch_size))])
    return np.asarray(np.maximum(result, _SMALLEST_WEIGHT), np.float32)


def _flipped_mean(network: Network, patch: ArrayOrTensor, flips: Sequence[tuple[int, ...]]) -> ArrayOrTensor:
    total: ArrayOrTensor = None
    for axes in flips:
        turned = tuple(axis + 1 for axis in axes)
        logits = flipped(network(contiguous(flipped(patch, turned))[None])[0], turned)
        total = contiguous(logits) if total is None else total + logits
    return total / len(flips) if len(flips) > 1 else total


def _pad(volume: Floats, patch_size: Sequence[int], fill: float, reflect: bool) -> tuple[Floats, tuple[slice, ...]]:
    """Surround a volume on both sides until it is as large as a patch; also return where it then lies."""
    lacking = [max(0, p - n) for n, p in zip(volume.shape[1:], patch_size, strict=True)]
    before = [n // 2 for n in lacking]
    widths = [(0, 0), *((b, n - b) for b, n in zip(before, lacking, strict=True))]
    inside = (slice(None), *(slice(b, b + n) for b, n in zip(before, volume.shape[1:], strict=True)))
    if not any(lacking):
        return volume, inside
    if reflect:
        volume = np.pad(volume, [(0, 0), widths[1], (0, 0), (0, 0)], mode="symmetric")
        widths[1] = (0, 0)
    return np.pad(volume, widths, constant_values=fill), inside
