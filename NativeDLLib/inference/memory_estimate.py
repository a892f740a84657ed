"""The main memory that a run will take, told before its work begins.

Bytes that stages hold at the same time beyond those at the loading of the model. There are n voxels of the
image, m of the network's grid, and s segments. A slab is what the sliding window sums up: all channels of all networks,
in as many planes as a patch has, and means are made of some planes of it at a time. Nothing on a GPU counts.

===========  ==========================================================================================================
preprocess   7 n + 4 m + 4 c m: the image turned, as float32, and a mask of it; resampled, and c channels made of that
infer        2 n + m + 4 c m: two grids, and the network's grid and c channels; labels 2 n; a slab, and its means, those
             before them and those that they are made of; what labels are made in; forward passes, and the results that
             wait
postprocess  classes 2 n, label maps 2 n, and 5 n to clean a segment in a box of a third of the image; the network and
             what it took for itself are gone
write        5 n: the label map, and copies of it that other threads write
===========  ==========================================================================================================

Where nnU-Net itself prepares the image, that takes 40 n, and where it makes labels of all logits at once, infer holds
ten bytes for each class on the larger grid. A tenth is added to all, as allocators give back less than they were given.

The network's grid is found by preparing a little noise, and what a forward pass takes by running a patch of it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.memory import MIB, available, resident, too_much
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.engine import Engine
from NativeDLLib.inference.label_maker import BLOCK
from NativeDLLib.inference.network import call_concurrently, is_tensor
from NativeDLLib.inference.sliding_window import PLANES, WindowSettings
from NativeDLLib.registry.entry import Model
from NativeDLLib.source import Source

_PROBE = 4  # along each axis, what is prepared of the series is one in so many
_AMPLE = 1024  # bytes of a forward pass for each voxel of a patch: no network at hand takes as much


@dataclass(frozen=True)
class Work:
    """Quantities that determine peak memory."""

    image: Sequence[int]  # voxels along each axis
    network: Sequence[int]  # voxels of the network's grid (z, y, x)
    taken: int  # channels of the network's input
    patch: Sequence[int]  # voxels (z, y, x)
    channels: Sequence[int]  # of each network; none where they stay on a GPU
    channel_bytes: int  # of each while they are summed
    classes: int  # of the network
    has_head: bool  # whether networks give features, and not logits
    is_streamed: bool  # whether labels are made of logits as they come, and not by nnU-Net of all at once
    mirrors: bool  # whether a patch is run more than once
    forward: int  # bytes of the forward passes that run at once
    concurrency: int  # number of these
    kept: int = 0  # bytes that a network allocated for its run, and gives back with itself

    @property
    def peak(self) -> int:
        """Bytes that are held at the same time, with a tenth more."""
        n, m, volume = prod(self.image), prod(self.network), 4 * self.taken * prod(self.network)
        prepare = (7 if self.is_streamed else 40) * n + 4 * m + volume
        most = max(prepare, 4 * n + m + volume + self._inference, 9 * n - self.kept)
        return most * 11 // 10

    @property
    def _inference(self) -> int:
        grid = [max(size, least) for size, least in zip(self.network, self.patch, strict=True)]
        # A volume that is smaller than a patch is surrounded, which makes another of it.
        surrounded = 4 * self.taken * prod(grid) if grid != list(self.network) else 0
        if not self.is_streamed:
            return surrounded + self.forward + 10 * self.classes * max(prod(self.image), prod(grid))
        if not self.channels:
            return surrounded + self.forward
        plane = prod(grid[1:]) * self.channel_bytes
        slab = (sum(self.channels) + 1) * self.patch[0] * plane
        # Features of all networks follow each other, logits are averaged.
        means = 3 * (sum(self.channels) + 1 if self.has_head else self.classes) * min(PLANES, self.patch[0]) * plane
        result = 4 * max(self.channels) * prod(self.patch)
        results = (3 * result if self.mirrors else 0) + (self.concurrency * len(self.channels) * result)
        labelled = 2 * 4 * self.classes * BLOCK**3 * (os.cpu_count() or 1)
        return surrounded + self.forward + results + slab + means + labelled


def check_reading(series: Source, limit: int | None) -> None:
    """Raise InputError, with the bytes needed, where a series' image alone, read and as float32, is beyond a limit."""
    _check_limit(f"{_size(series.grid.size)} need at least", resident() + 8 * prod(series.grid.size), limit)


def check_memory(
    image: sitk.Image, model: Model, engine: Engine, settings: WindowSettings, limit: int | None, progress: Progress
) -> None:
    """Refuse a run that will take more memory than a limit in bytes, and warn of one that takes more than there is.
    Without a limit nothing is tried as long as there is plenty. InputError states the bytes needed.
    """
    work = guessed(image, model, engine, settings)
    if limit is None and 2 * work.peak < available():
        return
    work = tried(work, image, engine, progress)
    has, free = resident(), available()
    needed, what = has + work.peak, f"{_size(image.GetSize())} with {model.id} need about"
    _check_limit(what, needed, limit)
    if work.peak > free:
        progress.warn(
            f"{what} {ceil(needed / MIB)} MiB of memory, more than the {(has + free) // MIB} MiB that this process can "
            "have here: close other programs, or it may be slow or be ended"
        )


def guessed(image: sitk.Image, model: Model, engine: Engine, settings: WindowSettings) -> Work:
    """Quantities of a run before anything is tried, with ample room for the unknown ones."""
    head = engine.head
    classes = model.least_channels
    channels = [classes] * len(engine.networks) if head is None else [head.weights.shape[1] - 1]
    return Work(
        image=image.GetSize(),
        network=image.GetSize()[::-1],
        taken=len(model.input.channels),
        patch=engine.patch_size,
        channels=channels,
        channel_bytes=2 if engine.half and head is None else 4,
        classes=classes if head is None else len(head.bias),
        has_head=head is not None,
        is_streamed=engine.is_streamed,
        mirrors=bool(settings.mirror_axes),
        forward=_AMPLE * prod(engine.patch_size),
        concurrency=min(network.concurrency for network in engine.networks),
    )


def tried(work: Work, image: sitk.Image, engine: Engine, progress: Progress) -> Work:
    """Return work with what a trial tells of it: the network's grid, its channels, and the memory of a patch."""
    noise, before = np.random.default_rng(0), resident()
    with progress.stage("memory"):
        shape = [ceil(size / _PROBE) for size in image.GetSize()[::-1]]
        sample = sitk.GetImageFromArray(noise.integers(-1000, 1000, shape, np.int16))
        sample.SetSpacing(image.GetSpacing())
        sample.SetDirection(image.GetDirection())
        prepared = engine.prepare(sample)
        patch = noise.standard_normal((1, len(prepared.volume), *engine.patch_size), np.float32)
        # ONNX Runtime arranges its memory anew for the second pass.
        for _ in range(2):
            results = [call_concurrently(network, network.to_device(patch))[0] for network in engine.networks]
        channels = [] if is_tensor(results[0]) else [result.shape[1] for result in results]
        del results
    after = resident()
    return replace(
        work,
        network=[size * _PROBE for size in prepared.volume.shape[1:]],
        channels=channels,
        classes=work.classes if work.has_head else max([work.classes, *channels]),
        forward=max(0, int(progress.stages[-1].peak_mib * MIB) - after),
        kept=max(0, after - before),
    )


def _size(voxels: Sequence[int]) -> str:
    return f"{' x '.join(map(str, voxels))} voxels"


def _check_limit(what: str, needed: int, limit: int | None) -> None:
    if limit is not None and needed > limit:
        # From run to run it is a little different, and who allows what is said here shall not be refused again.
        raise too_much(f"{what} {ceil(needed * 1.02 / MIB / 10) * 10}", limit)
