"""A network that takes patches, run over a whole volume (Isensee et al., Nature Methods 2021, nnU-Net's scheme)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.events import Cancel, Reporter
from NativeDLLib.inference.network import Floats, Network

Logits = npt.NDArray[Any]
Window = tuple[slice, ...]
"""Where a patch is, (z, y, x)."""

# The centre of a patch, and its corners, whose weight must still be something to divide by in half precision.
_LARGEST_WEIGHT, _SMALLEST_WEIGHT = 10.0, 2.0**-24


def sliding_window(
    volume: Floats,
    networks: Sequence[Network],
    patch_size: Sequence[int],
    *,
    step: float = 0.5,
    mirror_axes: Sequence[int] = (),
    fill: float = 0.0,
    reflect: bool = False,
    half: bool = False,
    features: bool = False,
    skip: Callable[[Window], bool] | None = None,
    reporter: Reporter | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Logits]:
    """Run networks over overlapping patches, blend their logits with Gaussian weights, and average the networks.

    No more planes are held than a patch has: they are given as soon as no patch will change them.

    Parameters
    ----------
    volume
        Preprocessed image (channels, z, y, x).
    networks
        One, or the folds of an ensemble; each is called with one patch at a time.
    patch_size
        Size (z, y, x) of the patches in voxels.
    step
        Distance between patches as a fraction of their size, above 0 and at most 1.
    mirror_axes
        Test-time augmentation: logits are averaged over all combinations of flips of these axes (0 is z).
    fill
        What surrounds a volume that is smaller than a patch.
    reflect
        Whether a volume that has too few slices is continued by them, reflected: a body that ends in air after a few
        slices is nothing that a network knows.
    half
        Accumulate logits in half precision as nnU-Net does: its rounding decides between classes that are nearly equal.
    features
        Whether networks give features, of which logits are made later: those of an ensemble follow each other, and then
        comes a channel that is 1 where every patch was skipped.
    skip
        Whether a patch needs no look, given where in the volume it is; nothing is found in it. The first one is run
        all the same: it tells how many classes there are.
    reporter, cancel
        Told after, and looked at before, each patch.

    Yields
    ------
    ndarray
        Logits (classes, z, y, x) of the next planes of the volume, float32, or float16 with `half`; where every patch
        was skipped, 0, and 1 for the background.
    """
    reporter, cancel = reporter or Reporter(), cancel or Cancel()
    padded, (_, inside, *across) = _pad(volume, patch_size, fill, reflect)
    starts, *rest = [window_starts(n, p, step) for n, p in zip(padded.shape[1:], patch_size, strict=True)]
    columns = [
        tuple(slice(start, start + size) for start, size in zip(corner, patch_size[1:], strict=True))
        for corner in itertools.product(*rest)
    ]
    flips = [axes for n in range(len(mirror_axes) + 1) for axes in itertools.combinations(mirror_axes, n)]
    weights: Logits = gaussian(patch_size).astype(np.float16 if half and not features else np.float32)
    depth, done = patch_size[0], 0
    sums: list[Logits] = []
    weight_sums = np.zeros((depth, *padded.shape[2:]), weights.dtype)
    for start, following in itertools.pairwise([*starts, padded.shape[1]]):
        for column in columns:
            cancel.check()
            window = (slice(start, start + depth), *column)
            place = tuple(
                slice(w.start - i.start, w.stop - i.start) for w, i in zip(window, (inside, *across), strict=True)
            )
            if not sums or skip is None or not skip(place):
                patch = np.ascontiguousarray(padded[:, *window])
                for fold, network in enumerate(networks):
                    began = time.perf_counter()
                    logits = _flipped_mean(network, patch, flips)
                    reporter.forward_s += time.perf_counter() - began
                    if len(sums) == fold:
                        sums.append(np.zeros((len(logits), depth, *padded.shape[2:]), weights.dtype))
                    _add(sums[fold][:, :, *column], logits, weights)
                weight_sums[:, *column] += weights
            done += 1
            reporter.progress("infer", done / (len(starts) * len(columns)))
        finished = min(following - start, depth)
        planes = slice(max(inside.start - start, 0), min(inside.stop - start, finished))
        if planes.start < planes.stop:
            weight_sum = weight_sums[planes, *across]
            parts = [_divided(total[:, planes, *across], weight_sum) for total in sums]
            nowhere = weight_sum == 0
            if features:
                yield np.concatenate([*parts, nowhere[None].astype(weights.dtype)])
            else:
                logits = _mean(parts)
                logits[0, nowhere] = 1
                yield logits
        for array in (*sums, weight_sums[None]):
            array[:, : depth - finished] = array[:, finished:]
            array[:, depth - finished :] = 0


def _add(sums: Logits, logits: Logits, weights: Logits) -> None:
    if sums.dtype == np.float32:
        logits *= weights
        sums += logits
        return
    import torch  # NumPy takes ten times as long for half precision

    weighted = torch.from_numpy(logits).mul_(torch.from_numpy(weights))
    torch.from_numpy(sums).add_(weighted)


def _divided(sums: Logits, weights: Logits) -> Logits:
    result: Logits = sums / np.where(weights == 0, 1, weights)
    return result


def _mean(parts: list[Logits]) -> Logits:
    total = parts[0]
    for part in parts[1:]:
        total += part
    if len(parts) > 1:
        total /= len(parts)
    return total


def window_starts(size: int, patch: int, step: float) -> list[int]:
    """Return where windows of `patch` voxels start along an axis of `size`, evenly spread, the last one at the end."""
    count = int(np.ceil((size - patch) / (patch * step))) + 1
    if count == 1:
        return [0]
    return [int(np.round((size - patch) / (count - 1) * i)) for i in range(count)]


def gaussian(patch_size: Sequence[int]) -> Floats:
    """Return the weight (z, y, x) of each voxel of a patch: a Gaussian of an eighth of its size, 10 in the centre."""
    result = np.full((1,) * len(patch_size), _LARGEST_WEIGHT)
    for axis, size in enumerate(patch_size):
        result = result * _profile(size).reshape([-1 if a == axis else 1 for a in range(len(patch_size))])
    weights: Floats = np.maximum(result, _SMALLEST_WEIGHT).astype(np.float32)
    return weights


def _profile(size: int) -> npt.NDArray[np.float64]:
    profile: npt.NDArray[np.float64] = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 8)) ** 2)
    return profile


def _flipped_mean(network: Network, patch: Floats, flips: Sequence[tuple[int, ...]]) -> Logits:
    total: Logits | None = None
    for axes in flips:
        turned = tuple(axis + 1 for axis in axes)
        logits = np.flip(network(np.ascontiguousarray(np.flip(patch, turned))[None])[0], turned)
        total = np.ascontiguousarray(logits, np.float32) if total is None else total + logits
    assert total is not None
    return total / np.float32(len(flips)) if len(flips) > 1 else total


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
