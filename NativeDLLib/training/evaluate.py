"""How good an exported model is: its Dice on cases, segmented by the same stages that a user's series goes through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.demo.phantom import make_phantom
from NativeDLLib.inference.network import Network
from NativeDLLib.inference.onnx_runtime import load_onnx
from NativeDLLib.inference.preprocess import prepare, restore
from NativeDLLib.inference.sliding_window import sliding_window
from NativeDLLib.inference.torch_runtime import load_torch
from NativeDLLib.training.cases import read_torso
from NativeDLLib.training.task import Task

Mask = npt.NDArray[Any]
_HELD_OUT_SEEDS = range(900_000, 900_004)  # far from the seeds of training


@dataclass(frozen=True)
class Example:
    """A CT with the true mask of the structure on its grid (z, y, x), and what it is in words."""

    name: str
    image: sitk.Image
    truth: Mask


def load(path: Path) -> Network:
    """Load an exported model on the CPU with the runtime that its suffix asks for."""
    return (load_onnx if path.suffix == ".onnx" else load_torch)(path, "cpu", 2).network


def segment(network: Network, image: sitk.Image, task: Task) -> Mask:
    """Segment a CT and give the mask of the structure on its own grid, (z, y, x)."""
    prepared = prepare(image, task.contract)
    logits = sliding_window(prepared.volume, [network], task.patch, fill=prepared.fill)
    found: Mask = restore(logits, prepared) == 1
    return found


def dice(prediction: Mask, truth: Mask) -> float:
    """Dice coefficient of two masks of the same shape; 1 when both are empty."""
    a, b = prediction.astype(bool), truth.astype(bool)
    return 1.0 if not (a.any() or b.any()) else float(2 * (a & b).sum() / (a.sum() + b.sum()))


def examples(task: Task, data: Path) -> Iterator[Example]:
    """Give the torso CT of training, phantoms that were held out, and the slices of another patient where they are."""
    ct, labels = read_torso(data)
    yield Example("torso CT (trained on)", ct, np.isin(sitk.GetArrayFromImage(labels), task.torso_labels))
    for seed in _HELD_OUT_SEEDS:
        ct, labels = make_phantom(seed, (256, 224, 80), (1.6, 1.6, 4.0))
        truth = np.isin(sitk.GetArrayFromImage(labels), task.phantom_labels)
        yield Example(f"phantom {seed} (held out)", ct, truth)
    folder = data / "liver_spine_ct_dicom"
    if folder.is_dir():
        mask = sitk.ReadImage(str(folder / task.slices_mask))
        yield Example("three slices of another patient", _slices(folder), sitk.GetArrayFromImage(mask) > 0)


def _slices(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    series = (reader.GetGDCMSeriesFileNames(str(folder), uid) for uid in reader.GetGDCMSeriesIDs(str(folder)))
    reader.SetFileNames(max(series, key=len))  # its segmentations are series of one file
    return reader.Execute()
