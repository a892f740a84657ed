"""The rows of a configuration's data, read: files with labels, DICOM series with segmentations, phantoms, negatives."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.source import Grid, Series, Source
from NativeDLLib.source.volume_file import ImageFile
from NativeDLLib.training.cases import Case, make_case
from NativeDLLib.training.config import Config
from NativeDLLib.training.labels import named_labels, read_labels, read_segmentation, to_classes
from NativeDLLib.training.negatives import make_negative

_PHANTOM_SIZE = (128, 108, 122)


@dataclass(frozen=True)
class Volume:
    """A CT in memory; see `Source`."""

    content: sitk.Image
    grid: Grid
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, image: sitk.Image) -> "Volume":
        """Take an image as a source."""
        return cls(image, Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()))

    def text(self, keyword: str) -> str:
        """Return the modality; nothing else is known."""
        return "CT" if keyword == "Modality" else ""

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
        target = to_classes(labels, mapping, row)
        yield Example(row["name"], source, labels, target, uptake)


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
            found.append(make_case(image, example.labels, example.target, example.uptake, config.contract))
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
        assert config.contract.spacing is not None
        for seed in range(row["seed"], row["seed"] + row["negatives"]):
            progress.check()
            image = make_negative(seed, tuple(row.get("size", _PHANTOM_SIZE)), config.contract.spacing)
            yield Volume.of(image), sitk.Image(image.GetSize(), sitk.sitkUInt8), {}
        return
    if "image" in row:
        path = config.file(row["image"])
        labels = read_labels(config.file(row["labels"]))
        yield ImageFile.read(path, config.contract.modality), labels, named_labels(config, row, {})
        return
    series = Series.read([config.file(row["series"])], row.get("uid"))
    path = config.file(row["segmentation"])
    labels, names = read_segmentation(path, series) if path.suffix == ".dcm" else (read_labels(path), {})
    yield series, labels, named_labels(config, row, names)


def _phantom(config: Config, row: Mapping[str, Any], seed: int, progress: Progress) -> tuple[sitk.Image, sitk.Image]:
    progress.check()
    height = float(row.get("height", np.random.default_rng([seed, 2]).uniform(90, 230)))
    x, y, z = row["size"][::-1] if "size" in row else _PHANTOM_SIZE
    dx, dy, dz = (float(mm) for mm in row.get("spacing", config.contract.spacing)[::-1])
    levels = row.get("target") == "vertebrae"
    return make_phantom(seed, (x, y, z), (dx, dy, dz), centre=(0, 10, height), levels=levels)
