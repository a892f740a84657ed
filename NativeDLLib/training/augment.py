"""Random patches of a case: cut, bent, and changed as another scanner would; made while the network learns."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training import appearance
from NativeDLLib.training.cases import Case
from NativeDLLib.training.config import Config

AIR = -1024.0
_ODDS_OF_FOREGROUND = 0.75
# Nodes of the bending (z, y, x) and how far each moves, in voxels: posture and organs, then their surfaces.
_BENDINGS = (((4, 5, 5), 4.0), ((8, 12, 12), 1.0))


def random_patch(case: Case, config: Config, rng: Generator) -> tuple[Tensor, Tensor]:
    """One augmented patch: normalised image, float32 (1, z, y, x), and target, int64 (z, y, x)."""
    points = sampling_points(case, config, rng)
    if config.reflect:
        points[..., 0] = reflected(points[..., 0], 0, len(case.image) - 1).clip(0, len(case.image) - 1)
    image = sample(case.image, points, outside=AIR)
    classes = sample(case.classes, points, outside=0)
    target = sample(case.target, points, outside=0)
    if config.vary_shape and appearance.chance(rng, 0.5):
        image, classes, target = appearance.vary_shape(image, classes, target, rng)
    if config.mirror and appearance.chance(rng, 0.5):
        image, classes, target = image.flip(2), classes.flip(2), target.flip(2)
    if appearance.chance(rng, config.synthesis):
        image = appearance.synthesise(classes.long(), case, rng)
    else:
        image = appearance.recolour(image, classes.long(), case, rng)
    if appearance.chance(rng, 0.3):
        image = appearance.add_arms(image, rng)
    if appearance.chance(rng, 0.4):
        image = appearance.add_table(image, rng)
    image = appearance.scan(image, rng)
    image, target = limit_field_of_view(image, target, config, rng)
    return normalise(image, config)[None], target.long()


def normalise(image: Tensor, config: Config) -> Tensor:
    """Apply the input contract of `config` to Hounsfield units."""
    return (image.clip(*config.clip) - config.constants["mean"]) / config.constants["std"]


def sampling_points(case: Case, config: Config, rng: Generator) -> Tensor:
    """Voxel indices (z, y, x) in the case for each voxel of a patch, shape (z, y, x, 3). The patch is scaled, turned,
    sheared and bent. Three of four are centred near a voxel of a target class, each class as likely as the others.
    """
    patch, shape = torch.tensor(config.patch), torch.tensor(case.image.shape)
    centre = appearance.uniform(rng, 0.1, 0.9, 3) * shape
    if appearance.chance(rng, _ODDS_OF_FOREGROUND):
        present = case.target.unique()
        present = present[present > 0]
        if len(present):
            voxels = torch.nonzero(case.target == present[appearance.whole(rng, len(present))])
            centre = voxels[appearance.whole(rng, len(voxels))] + appearance.uniform(rng, -0.3, 0.3, 3) * patch
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in config.patch]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ _affine(rng).T
    if appearance.chance(rng, 0.8):
        bent = torch.zeros((1, 3, *config.patch))
        for nodes, voxels in _BENDINGS:
            moves = appearance.normal(rng, 1, 3, *nodes) * voxels * appearance.uniform(rng, 0.2, 1)
            bent += functional.interpolate(moves, size=config.patch, mode="trilinear", align_corners=True)
        points = points + bent[0].permute(1, 2, 3, 0)
    return points + centre


def _affine(rng: Generator) -> Tensor:
    matrix = torch.diag(1 / (appearance.uniform(rng, 0.75, 1.3) * appearance.uniform(rng, 0.88, 1.14, 3)))
    for (i, j), degrees in (((1, 2), 18), ((0, 2), 12), ((0, 1), 12)):  # about z, y and x
        angle = math.radians(float(appearance.uniform(rng, -degrees, degrees)))
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    return matrix + appearance.uniform(rng, -0.08, 0.08, 3, 3) * (1 - torch.eye(3))


def sample(volume: Tensor, points: Tensor, outside: float) -> Tensor:
    """Read a volume (z, y, x) at voxel indices (…, 3): labels by the nearest voxel, images by linear interpolation."""
    size = torch.tensor(volume.shape, dtype=torch.float32)
    grid = ((2 * points + 1) / size - 1).flip(-1)[None]  # grid_sample wants (x, y, z) from -1 to 1
    mode = "bilinear" if volume.is_floating_point() else "nearest"
    source = volume.float()[None, None] - outside  # grid_sample pads with zeros
    values = functional.grid_sample(source, grid, mode=mode, padding_mode="zeros", align_corners=False)[0, 0] + outside
    return values if volume.is_floating_point() else values.to(volume.dtype)


def reflected(places: Tensor, first: int, last: int) -> Tensor:
    """Places inside the voxels `first` to `last` for `places` beyond them, reflected at their outer faces."""
    period = 2 * (last - first + 1)
    return first - 0.5 + period / 2 - ((places - first + 0.5) % period - period / 2).abs()


def limit_field_of_view(image: Tensor, target: Tensor, config: Config, rng: Generator) -> tuple[Tensor, Tensor]:
    """Image and target, sometimes with only a slab, rectangle or the scanner's circle left, padded as at inference."""
    keep = torch.ones(image.shape, dtype=torch.bool)
    depth, height, width = image.shape
    if appearance.chance(rng, config.slabs):
        thickness = torch.exp(appearance.uniform(rng, 0, math.log(max(2.0, 0.7 * depth))))  # from a few thin slices on
        middle = depth * float(appearance.uniform(rng, 0.2, 0.8))
        first, last = max(0, round(middle - float(thickness) / 2)), round(middle + float(thickness) / 2)
        if config.reflect:
            order = reflected(torch.arange(depth), first, min(last, depth - 1)).round().long()
            image, target = image[order], target[order]
        else:
            keep[:first] = keep[last + 1 :] = False
    if appearance.chance(rng, 0.15):
        y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
        keep &= (y**2 + x**2 < (float(appearance.uniform(rng, 0.4, 0.6)) * width) ** 2)[None]
    elif appearance.chance(rng, 0.15):
        top, left = (appearance.whole(rng, n // 3) for n in (height, width))
        keep[:, :top] = keep[:, :, :left] = False
    return torch.where(keep, image, AIR), target * keep


_AHEAD = 4
Batch = tuple[Tensor, Tensor]


def batches(
    cases: Sequence[Case], odds: Sequence[float], config: Config, *, first: int, workers: int
) -> Iterator[Batch]:
    """Batches from step `first` on: patches (N, 1, z, y, x) and classes (N, z, y, x). The seed and its number alone
    draw a patch; neither the number of workers nor an interruption changes any.
    """
    edges = np.cumsum(odds)[:-1]
    size, steps = config.schedule.batch, config.schedule.steps

    def patch(number: int) -> Batch:
        entropy = np.random.SeedSequence([config.schedule.seed, number]).generate_state(1, np.uint64)
        rng = Generator().manual_seed(int(entropy[0]))
        draw = float(torch.rand((), generator=rng))
        return random_patch(cases[int(np.searchsorted(edges, draw, side="right"))], config, rng)

    # More than one thread for one patch would only be in the way of the network's.
    pool = ThreadPoolExecutor(workers, "patches", initializer=torch.set_num_threads, initargs=(1,))
    try:
        numbers = iter(range(first * size, steps * size))
        waiting: deque[Future[Batch]] = deque()
        for _ in range(first, steps):
            while len(waiting) < size + workers * _AHEAD and (number := next(numbers, None)) is not None:
                waiting.append(pool.submit(patch, number))
            images, targets = zip(*(waiting.popleft().result() for _ in range(size)), strict=True)
            yield torch.stack(images), torch.stack(targets)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
