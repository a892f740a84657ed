"""Cases of a training: rows of a configuration's data, read and put on the network's own grid.

A row is files with labels, a DICOM series with its segmentation, phantoms, or images that hold nothing to find.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.preprocess import prepare
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.registry.entry import InputContract
from NativeDLLib.source import Grid, Series, Source
from NativeDLLib.source.volume_file import ImageFile
from NativeDLLib.training.config import Config
from NativeDLLib.training.labels import named_labels, read_labels, read_segmentation, to_classes
from NativeDLLib.training.negatives import make_negative

_UNLABELLED_EDGES = (-500.0, -150.0, -20.0, 100.0)  # air, lung and edges, fat, soft tissue, bone
_FIRST_UNLABELLED = 200
UNLABELLED_AIR, FAT, SOFT = _FIRST_UNLABELLED, _FIRST_UNLABELLED + 2, _FIRST_UNLABELLED + 3
"""Classes of unlabelled air, fat and soft tissue."""
# How far, in voxels, two grids may be apart and still be one.
_SAME_GRID = 0.01


@dataclass(frozen=True)
class Case:
    """A CT at the network's spacing with a label for every voxel; arrays are (z, y, x)."""

    image: Tensor  # Hounsfield units, float32
    classes: Tensor  # structure at each voxel, uint8; unlabelled voxels carry 200 and above, by kind of tissue
    target: Tensor  # class of the network at each voxel, uint8; 0 is the background
    means: Tensor  # mean Hounsfield units of each of the 256 classes
    uptake: Tensor  # how strongly each class takes up contrast medium in augmentation


def make_case(
    image: sitk.Image, labels: sitk.Image, target: sitk.Image, uptake: Mapping[int, float], contract: InputContract
) -> Case:
    """Case on the grid of inference, from an image in Hounsfield units and labels on grids of their own. `labels` holds
    the structure at each voxel (0 for unknown), `target` the network's class, `uptake` the contrast uptake by label.
    """
    as_stored = replace(contract.channels[0], clip=None, normalization="none")
    prepared = prepare(image, replace(contract, channels=(as_stored,)))
    hu = torch.from_numpy(prepared.volume[0]).clip(-1024, 3071)
    if not _is_same(labels, prepared.grid):
        labels = sitk.Resample(labels, prepared.grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    structures, table = _few(sitk.GetArrayFromImage(labels))
    classes = torch.from_numpy(structures)
    kind = torch.bucketize(mean_near(hu), torch.tensor(_UNLABELLED_EDGES)).to(torch.uint8) + _FIRST_UNLABELLED
    classes = torch.where(classes == 0, kind, classes)
    index = classes.flatten().long()
    counts = torch.bincount(index, minlength=256).clamp(min=1)
    means = torch.bincount(index, weights=hu.flatten(), minlength=256).float() / counts
    factors = torch.zeros(256)
    for label, factor in uptake.items():
        if label in table:
            factors[table[label]] = factor
    return Case(hu, classes, torch.from_numpy(on_grid(target, prepared.grid)), means, factors)


def mean_near(values: Tensor, *, count_outside: bool = False) -> Tensor:
    """Mean of the 3 x 3 x 3 voxels around each voxel (z, y, x). Along an axis with less than three it is of one.
    `count_outside` takes voxels beyond the border for zeros; they are left out otherwise.
    """
    width = [3 if size > 2 else 1 for size in values.shape]
    border = [size // 2 for size in width]
    return functional.avg_pool3d(values[None, None], width, 1, border, count_include_pad=count_outside)[0, 0]


def on_grid(classes: sitk.Image, grid: sitk.Image) -> Array:
    """Classes on a grid, uint8 (z, y, x): each voxel gets the class that fills most of it. Each class is averaged over
    the source voxels and interpolated linearly, as images are; outside is background.
    """
    if _is_same(classes, grid):
        return np.asarray(sitk.GetArrayFromImage(classes), np.uint8)
    orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(grid.GetDirection())
    oriented = sitk.DICOMOrient(classes, orientation)
    sizes = zip(grid.GetSpacing(), oriented.GetSpacing(), oriented.GetSize(), strict=True)
    shrink = [min(size, max(1, int(new / old + 0.01))) for new, old, size in sizes]
    best: Any = np.zeros(grid.GetSize()[::-1], np.float32)
    found = np.zeros(best.shape, np.uint8)
    rest = np.ones_like(best)
    for value in np.unique(sitk.GetArrayViewFromImage(oriented)):
        if value == 0:
            continue
        part = sitk.BinShrink(sitk.Cast(oriented == int(value), sitk.sitkFloat32), shrink)
        here = sitk.GetArrayFromImage(sitk.Resample(part, grid, sitk.Transform(), sitk.sitkLinear, 0.0))
        rest -= here
        found[here > best] = value
        np.maximum(best, here, out=best)
    found[rest > best] = 0
    return found


def _few(labels: Array) -> tuple[Array, dict[int, int]]:
    """Labels below the unlabelled ones', with the new ones by the old; those beyond that number become unlabelled."""
    values = np.unique(labels[labels > 0])
    if not len(values) or values[-1] < _FIRST_UNLABELLED:
        return labels.astype(np.uint8), {int(value): int(value) for value in values}
    values = values[: _FIRST_UNLABELLED - 1]
    place = np.searchsorted(values, labels)
    known = values[np.minimum(place, len(values) - 1)] == labels
    return np.where(known, place + 1, 0).astype(np.uint8), {int(value): i for i, value in enumerate(values, 1)}


def _is_same(image: sitk.Image, grid: sitk.Image) -> bool:
    corners = [(0, 0, 0), tuple(n - 1 for n in grid.GetSize())]
    places = [image.TransformPhysicalPointToContinuousIndex(grid.TransformIndexToPhysicalPoint(c)) for c in corners]
    return image.GetSize() == grid.GetSize() and float(np.abs(np.subtract(places, corners)).max()) < _SAME_GRID


_PHANTOM_SIZE = (128, 108, 122)


@dataclass(frozen=True, kw_only=True)
class Volume(ImageFile):
    """A CT in memory."""

    content: sitk.Image

    @classmethod
    def of(cls, image: sitk.Image) -> "Volume":
        """Take an image as a source."""
        grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        return cls(Path(), "CT", grid, content=image)

    def image(self, progress: Progress | None = None) -> tuple[sitk.Image, list[str]]:
        """Return the image."""
        return self.content, []


@dataclass(frozen=True)
class Example:
    """Source and labels (structures, network's classes), each on its own grid; `uptake` of contrast by label."""

    name: str
    source: Source
    labels: sitk.Image
    target: sitk.Image
    uptake: Mapping[int, float]


def examples(config: Config, row: Mapping[str, Any], progress: Progress) -> Iterator[Example]:
    """Examples of a row of the data, one after the other; UsageError or InputError names a file that cannot be used."""
    uptake = {int(label): float(factor) for label, factor in row.get("uptake", {}).items()}
    for source, labels, mapping in _read(config, row, progress):
        yield Example(row["name"], source, labels, to_classes(labels, mapping, row), uptake)


def read_cases(config: Config, progress: Progress) -> tuple[list[Case], list[float]]:
    """All training cases, and the probability with which a patch comes from each; errors as `examples`."""
    rows = config.rows("train")
    cases: list[list[Case]] = []
    for index, row in enumerate(rows):
        found = list[Case]()
        for number, example in enumerate(examples(config, row, progress)):
            image, notes = example.source.image(progress)
            for note in [*example.source.warnings, *notes]:
                progress.warn(note)
            found.append(make_case(image, example.labels, example.target, example.uptake, config.model.input))
            if "negatives" not in row and not found[-1].target.any():
                progress.warn(f"{config.path}: {row['name']}: case {number + 1} has none of the classes")
            progress.update("data", (index + (number + 1) / row.get("phantoms", row.get("negatives", 1))) / len(rows))
        cases.append(found)
    flat = [case for found in cases for case in found]
    present = {int(value) for case in flat for value in case.target.unique()}
    for number, name in config.classes.items():
        if number not in present:
            raise InputError(f"{config.path}: data.train: no case has class {number} ({name})")
    return flat, _odds(rows, [len(found) for found in cases])


def _odds(rows: Any, counts: list[int]) -> list[float]:
    """Probabilities of the cases: by row where it has a share, the rest evenly."""
    given = sum(row.get("share", 0) for row in rows)
    others = sum(count for row, count in zip(rows, counts, strict=True) if "share" not in row)
    odds = list[float]()
    for row, count in zip(rows, counts, strict=True):
        odds += [row["share"] / count if "share" in row else (1 - given) / others] * count
    total = sum(odds)
    return [value / total for value in odds]


def _read(
    config: Config, row: Mapping[str, Any], progress: Progress
) -> Iterator[tuple[Source, sitk.Image, Mapping[int, int]]]:
    if "phantoms" in row:
        mapping = named_labels(config, row, {})
        seeds = range(row["seed"], row["seed"] + row["phantoms"])
        with ThreadPoolExecutor(min(config.threads, 8)) as pool:
            for image, labels in pool.map(lambda seed: _phantom(config, row, seed, progress), seeds):
                yield Volume.of(image), labels, mapping
        return
    if "negatives" in row:
        assert config.model.input.spacing is not None
        for seed in range(row["seed"], row["seed"] + row["negatives"]):
            progress.check()
            image = make_negative(seed, tuple(row.get("size", _PHANTOM_SIZE)), config.model.input.spacing)
            yield Volume.of(image), sitk.Image(image.GetSize(), sitk.sitkUInt8), {}
        return
    if "image" in row:
        path = config.file(row["image"])
        labels = read_labels(config.file(row["labels"]))
        yield ImageFile.read(path, config.model.input.modality), labels, named_labels(config, row, {})
        return
    series = Series.read([config.file(row["series"])], row.get("uid"))
    path = config.file(row["segmentation"])
    labels, names = read_segmentation(path, series) if path.suffix == ".dcm" else (read_labels(path), {})
    yield series, labels, named_labels(config, row, names)


def _phantom(config: Config, row: Mapping[str, Any], seed: int, progress: Progress) -> tuple[sitk.Image, sitk.Image]:
    progress.check()
    height = float(row.get("height", np.random.default_rng([seed, 2]).uniform(90, 230)))
    x, y, z = row["size"][::-1] if "size" in row else _PHANTOM_SIZE
    dx, dy, dz = (float(mm) for mm in row.get("spacing", config.model.input.spacing)[::-1])
    levels = row.get("target") == "vertebrae"
    return make_phantom(seed, (x, y, z), (dx, dy, dz), centre=(0, 10, height), levels=levels)
