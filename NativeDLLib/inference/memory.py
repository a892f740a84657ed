"""The main memory that a run will take, told before its work begins.

What stages hold at the same time besides the program, in bytes. There are n voxels of the source of v bytes each, m of
the network's grid, and s segments. A slab is what the sliding window sums up: all channels of all networks, in as many
planes as a patch has. What stays on a GPU does not count.

===========  ==========================================================================================================
preprocess   (v + 7) n + 8 m: the image turned, as float32, a mask of it; resampled, and once more on the way there
infer        (v + 2) n + 5 m: it, two grids, and the network's volume and grid; labels 2 n; and what takes more of a
             forward pass beside a slab, and a slab beside its means, joined with those before them
postprocess  (v + 2) n + 5 m; classes 2 n, label maps 2 n, and 5 n to clean a segment in a box of a third of the image
write        (v + 3) n, and each segment as bits, twice, in every slice: s n / 4
===========  ==========================================================================================================

Where nnU-Net itself prepares the image, that takes 40 n, and where it makes labels of all logits at once, infer holds
ten bytes for each class on the larger grid. A tenth and 64 MiB are added to all, as allocators give back less than they
were given and later stages bring code of their own.

The network's grid is found by preparing a little noise, and what a forward pass takes by running a patch of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import numpy as np
import SimpleITK as sitk

from NativeDLLib.errors import InputError
from NativeDLLib.events import Reporter
from NativeDLLib.inference.arrays import is_tensor
from NativeDLLib.inference.engine import Engine
from NativeDLLib.memory import ADVICE, MIB, available, resident
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.parameters import Value, resolve
from NativeDLLib.source import Source

_PROBE = 4  # along each axis, what is prepared of the series is one in so many
_AMPLE = 1024  # bytes of a forward pass for each voxel of a patch: no network at hand takes as much
_BLOCK = 24**3  # voxels that each core labels at a time, as in `upsample`


@dataclass(frozen=True)
class Work:
    """What decides how much a run holds.

    Attributes
    ----------
    source, network
        Voxels of the source and of the network's grid along each axis; the latter (z, y, x).
    value_bytes
        Of a voxel of the source.
    patch
        Voxels (z, y, x).
    channels
        How many each network gives; none where they stay on a GPU.
    channel_bytes
        Of each of them while they are summed.
    classes, segments
        How many the network knows; those that `vertebra_levels` makes lie one above the other and do not count.
    has_head
        Whether networks give features, and not logits.
    is_streamed
        Whether labels are made of logits as they come, and not by nnU-Net itself of all at once.
    mirrors
        Whether a patch is looked at more than once.
    forward
        Bytes that a forward pass takes.
    """

    source: Sequence[int]
    network: Sequence[int]
    value_bytes: int
    patch: Sequence[int]
    channels: Sequence[int]
    channel_bytes: int
    classes: int
    segments: int
    has_head: bool
    is_streamed: bool
    mirrors: bool
    forward: int

    @property
    def peak(self) -> int:
        """Bytes that are held at the same time, the source included, and what is added."""
        n, m, v = prod(self.source), prod(self.network), self.value_bytes
        held = (v + 2) * n + 5 * m
        write = (v + 3) * n + self.segments * n // 4
        prepare = (v + (7 if self.is_streamed else 40)) * n + 8 * m
        most = max(prepare, held + 2 * n + self._inference, held + 9 * n, write)
        return most * 11 // 10 + 64 * MIB

    @property
    def _inference(self) -> int:
        grid = [max(size, least) for size, least in zip(self.network, self.patch, strict=True)]
        # A volume that is smaller than a patch is surrounded, which makes another of it.
        surrounded = 4 * prod(grid) if grid != list(self.network) else 0
        if not self.is_streamed:
            return surrounded + self.forward + 10 * self.classes * max(prod(self.source), prod(grid))
        if not self.channels:
            return surrounded + self.forward
        planes = self.patch[0] * prod(grid[1:]) * self.channel_bytes
        slab = (sum(self.channels) + 1) * planes
        # Features of all networks are joined, logits averaged; then either is joined with what came before.
        joined = 2 * slab if self.has_head else self.classes * planes
        flipped = 3 * 4 * max(self.channels) * prod(self.patch) if self.mirrors else 0
        labelled = 2 * 4 * self.classes * _BLOCK * (os.cpu_count() or 1)
        return surrounded + max(self.forward + flipped + slab, 2 * slab + joined + labelled)


def check_memory(
    series: Source,
    image: sitk.Image | None,
    model: Model,
    engine: Engine,
    parameters: Mapping[str, Value],
    limit: int | None,
    reporter: Reporter,
) -> None:
    """Refuse a run that will take more memory than a limit, and warn of one that will take more than there is.

    Without a limit nothing is tried as long as there is plenty.

    Parameters
    ----------
    series, image
        The source, and its voxels where they have been read.
    model, engine, parameters
        What is to run, and its effective parameters.
    limit
        Bytes that this process may have; None for no limit.

    Raises
    ------
    InputError
        With how much is needed.
    """
    work = guessed(series, image, model, engine, parameters)
    if limit is None and 2 * work.peak < available():
        return
    work = tried(work, series, engine, reporter)
    has, free = resident(), available()
    needed = has + work.peak - (0 if image is None else prod(work.source) * work.value_bytes)
    size = " x ".join(map(str, series.grid.size))
    text = f"{size} voxels with {model.id} need about {ceil(needed / MIB)} MiB of memory, more than the"
    if limit is not None and needed > limit:
        raise InputError(f"{text} {limit // MIB} MiB of --max-memory; {ADVICE}")
    if needed > has + free:
        reporter.warning(
            f"{text} {(has + free) // MIB} MiB that this process can have here: close other programs, or it may be "
            "slow or be ended"
        )


def guessed(
    series: Source, image: sitk.Image | None, model: Model, engine: Engine, parameters: Mapping[str, Value]
) -> Work:
    """Return what is known of a run before anything is tried, with ample room for the rest."""
    # Not read yet: in a CT, values that are no whole numbers, or too large for two bytes, are rare.
    unread = 2 if series.text("Modality") == "CT" else 4
    head = engine.head
    classes = model.output_channels or max(segment.label for segment in model.segments) + 1
    channels = [classes] * len(engine.networks) if head is None else [head.weights.shape[1] - 1]
    return Work(
        source=series.grid.size,
        network=series.grid.size[::-1],
        value_bytes=unread if image is None else image.GetSizeOfPixelComponent(),
        patch=engine.patch_size,
        channels=channels,
        channel_bytes=2 if engine.half and head is None else 4,
        classes=classes if head is None else len(head.bias),
        segments=len(model.network_segments),
        has_head=head is not None,
        is_streamed=getattr(engine, "_separable", True),
        mirrors=bool(resolve(model.sliding_window.get("mirror", engine.mirrors_by_default), parameters)),
        forward=_AMPLE * prod(engine.patch_size),
    )


def tried(work: Work, series: Source, engine: Engine, reporter: Reporter) -> Work:
    """Return work with what a trial tells of it: the network's grid, its channels, and the memory of a patch."""
    noise, grid = np.random.default_rng(0), series.grid
    with reporter.stage("memory"):
        sample = noise.integers(-1000, 1000, [ceil(size / _PROBE) for size in grid.size[::-1]], np.int16)
        prepared = engine.prepare(grid.apply(sitk.GetImageFromArray(sample)))
        patch = noise.standard_normal((1, len(prepared.volume), *engine.patch_size), np.float32)
        # ONNX Runtime arranges its memory anew for the second pass.
        for _ in range(2):
            results = [network(network.placed(patch)) for network in engine.networks]
        channels = [] if is_tensor(results[0]) else [result.shape[1] for result in results]
        del results
    has = resident()
    return replace(
        work,
        network=[size * _PROBE for size in prepared.volume.shape[1:]],
        channels=channels,
        classes=work.classes if work.has_head else max([work.classes, *channels]),
        forward=max(0, int(reporter.stages[-1].peak_mib * MIB) - has),
    )
