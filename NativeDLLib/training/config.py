"""A training as its configuration file describes it: data, network, schedule, and the registry entry to be written."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import models_of
from NativeDLLib.training.unet import Architecture, Triple

_WARM_UP_STEPS = 50


@dataclass(frozen=True)
class Schedule:
    """Length and pace of a training; where `minutes` end it before its steps, it depends on the machine's speed."""

    steps: int = 1300  # optimiser steps
    minutes: float = math.inf  # wall time after which training ends, and to which the learning rate is fitted
    batch: int = 2  # patches a step
    learning_rate: float = 3e-3  # the highest
    seed: int = 1  # of weights, patches and augmentation
    ema: float = 0.995  # share of the average of the weights that each step keeps
    deep_supervision: bool = True  # whether the coarser resolutions learn from the labels too
    checkpoint_minutes: float = 5.0  # wall time between checkpoints

    def rate(self, step: int, progress: float) -> float:
        """Return the learning rate of a step, counted from 0, when `progress` (0 to 1) of the training is done."""
        warm_up = min(1.0, (step + 1) / min(_WARM_UP_STEPS, self.steps / 2))
        return self.learning_rate * warm_up * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


FORMATS = ("onnx", "torch", "nnunetv2")
"""Formats that a training writes, named by the ``runtime`` that loads each."""
SETTINGS = ("vary_shape", "synthesis", "slabs")
"""Settings of the augmentation, beside ``mirror``."""
# Bulges are made on a grid of every fourth voxel, and five of its points are needed.
_LEAST_TO_VARY = 20


@dataclass(frozen=True)
class Config:
    """A configuration file that has passed its checks."""

    path: Path
    data: Mapping[str, Any]
    model: Model  # registry entry of the file, without weights yet
    classes: Mapping[int, str]  # classes of the network by number, without the background
    architecture: Architecture | None  # None where the file names none
    schedule: Schedule
    mirror: bool = False  # whether left and right may be swapped; for symmetric structures only
    vary_shape: bool = False  # whether the one structure is given other shapes
    synthesis: float = 0.2  # probability that a patch is drawn from its labels alone
    slabs: float = 0.45  # probability that a patch is cut to a slab
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)  # processor cores to use
    outputs: tuple[str, ...] = FORMATS  # formats to write, the entry's first

    @property
    def patch(self) -> Triple:
        """Patch size (z, y, x) in voxels."""
        assert self.model.input.patch_size is not None
        return self.model.input.patch_size

    @property
    def clip(self) -> tuple[float, float]:
        """Bounds of the Hounsfield units that the network sees."""
        (channel,) = self.model.input.channels
        assert channel.clip is not None
        return channel.clip

    @property
    def constants(self) -> Mapping[str, float]:
        """Input contract: ``(clip(HU) - mean) / std``."""
        (channel,) = self.model.input.channels
        assert not isinstance(channel.normalization, str)
        return {name: float(value) for name, value in channel.normalization.items()}

    @property
    def reflect(self) -> bool:
        """Whether an image with fewer slices than a patch is continued by them, reflected."""
        return self.model.input.padding == "reflect"

    def rows(self, section: str) -> Sequence[Mapping[str, Any]]:
        """Return the data of ``train`` or ``validate``, each row with a name."""
        rows = self.data["data"].get(section, ())
        return [{"name": f"{section} row {index}", **row} for index, row in enumerate(rows, 1)]

    def file(self, text: str) -> Path:
        """Path in the file, relative to it and with environment variables; UsageError where nothing is there."""
        expanded = os.path.expandvars(text)
        if "$" in expanded:
            raise UsageError(f"{self.path}: {text}: that environment variable is not set")
        path = self.path.parent / Path(expanded).expanduser()
        if not path.exists():
            raise UsageError(f"{self.path}: {text}: {path} does not exist")
        return path


def read_config(path: Path) -> Config:
    """Configuration in a file; UsageError names the first thing in it that is wrong."""
    data = read_json(path, UsageError)
    check_schema(data, "training.schema.json", path, UsageError, "train")
    model = _model(path, data["entry"])
    classes = {int(number): name for number, name in data["classes"].items()}
    config = Config(
        path=path,
        data=data,
        model=model,
        classes=dict(sorted(classes.items())),
        architecture=_architecture(path, data["network"]) if "network" in data else None,
        schedule=Schedule(**data.get("schedule", {})),
        outputs=tuple(dict.fromkeys((model.runtime, *data.get("outputs", FORMATS)))),
        **{key: data[key] for key in ("mirror", *SETTINGS, "threads") if key in data},
    )
    _check(config)
    return config


def _model(path: Path, entry: dict[str, Any]) -> Model:
    weights = {"folder": "none"} if entry.get("runtime") == "nnunetv2" else {"file": "none", "sha256": "0" * 64}
    try:
        (model,) = models_of({"schema_version": "1.0", "models": [entry | {"weights": weights}]}, path, UsageError)
    except UsageError as error:
        where = f"models[0] ({str(entry['id'])[:64]})" if "id" in entry else "models[0]"
        raise UsageError(str(error).replace(where, "entry", 1)) from error
    return model


def _architecture(path: Path, given: Mapping[str, Any]) -> Architecture:
    features = tuple(given.get("features", Architecture.features))
    stages = len(features)
    lists: dict[str, Any] = {
        "kernels": given.get("kernels", [[3, 3, 3]] * stages),
        "strides": given.get("strides", [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1)),
    }
    for name, count in (("convolutions", stages), ("decoder_convolutions", stages - 1)):
        value = given.get(name, 2)
        lists[name] = value if isinstance(value, list) else [value] * count
    for name, values in lists.items():
        wanted = stages - (name == "decoder_convolutions")
        if len(values) != wanted:
            raise UsageError(f"{path}: network.{name}: has {len(values)} values, {stages} features ask for {wanted}")
    if lists["strides"][0] != [1, 1, 1]:
        raise UsageError(f"{path}: network.strides: the first must be [1, 1, 1], which keeps the input's resolution")
    if any(size % 2 == 0 for kernel in lists["kernels"] for size in kernel):
        raise UsageError(f"{path}: network.kernels: sizes must be odd")
    return Architecture(features, **{name: _tuples(values) for name, values in lists.items()})


def _tuples(values: Any) -> Any:
    return tuple(_tuples(value) for value in values) if isinstance(values, list) else values


def _check(config: Config) -> None:
    """Check what the schema cannot say."""
    path, contract, classes = config.path, config.model.input, config.classes
    if list(classes) != list(range(1, len(classes) + 1)):
        raise UsageError(f"{path}: classes: must be numbered from 1 without a gap")
    if len(set(classes.values())) < len(classes):
        raise UsageError(f"{path}: classes: two have the same name")
    channels = config.model.output_channels
    if channels is not None and channels != len(classes) + 1:
        needed = f"{len(classes)} classes and the background are {len(classes) + 1}"
        raise UsageError(f"{path}: entry.output.channels: is {channels}; {needed}")
    for segment in config.model.network_segments:
        if segment.label not in classes:
            raise UsageError(f"{path}: entry.output.segments: there is no class {segment.label} for '{segment.name}'")
    if config.vary_shape and len(classes) > 1:
        raise UsageError(f"{path}: vary_shape: is for trainings of one class; this one has {len(classes)}")
    channel = contract.channels[0]
    normalised = channel.clip is not None and not isinstance(channel.normalization, str)
    if contract.modality != "CT" or len(contract.channels) != 1 or not normalised:
        raise UsageError(f"{path}: entry.input: training takes one channel of CT with clip and mean and std")
    if contract.orientation is None or contract.spacing is None or contract.patch_size is None:
        raise UsageError(f"{path}: entry.input: training needs orientation, spacing and patch_size")
    if contract.array_axes != (0, 1, 2):
        raise UsageError(f"{path}: entry.input.axes: networks are trained with zyx; leave it out")
    if config.model.activation in ("sigmoid", "labels"):
        raise UsageError(f"{path}: entry.output.activation: networks are trained with softmax; leave it out")
    if config.vary_shape and min(contract.patch_size) < _LEAST_TO_VARY:
        raise UsageError(f"{path}: vary_shape: needs a patch_size of at least {_LEAST_TO_VARY} voxels along each axis")
    if config.architecture is not None:
        check_patch(config, config.architecture)
    for section in ("train", "validate"):
        for index, row in enumerate(config.data["data"].get(section, ())):
            where = f"{path}: data.{section}[{index}]"
            unknown = sorted(set(row.get("map", {}).values()) - {0, *classes})
            if unknown:
                raise UsageError(f"{where}.map: there is no class {unknown[0]}")
            if "target" in row and not {"map", "canal"} <= row.keys():
                raise UsageError(f"{where}.target: needs a map and the labels of the canal")
            if not {"map", "negatives"} & row.keys() and not str(row.get("segmentation", "")).endswith(".dcm"):
                raise UsageError(f"{where}: has no map from labels to classes, which all but a .dcm need")
    if sum(row.get("share", 0) for row in config.rows("train")) > 1 + 1e-9:
        raise UsageError(f"{path}: data.train: the shares are more than 1 together")


def check_patch(config: Config, architecture: Architecture) -> None:
    """Raise UsageError where a network's resolutions do not fit the patch."""
    if any(n % d or n == d for n, d in zip(config.patch, architecture.divisor, strict=True)):
        raise UsageError(
            f"{config.path}: entry.input.patch_size: {list(config.patch)} must be a multiple of "
            f"{list(architecture.divisor)}, by which the network shrinks it, and larger"
        )
