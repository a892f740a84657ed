"""The cases that the demonstration models learn from: one labelled torso CT, and phantoms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

from NativeDLLib.demo.phantom import make_phantom
from NativeDLLib.errors import InputError
from NativeDLLib.training.task import SPACING_MM, Task

# TotalSegmentator labels whose Hounsfield units a contrast medium raises, and how much of the rise of blood they take.
TORSO_UPTAKE = {1: 0.6, 2: 1.0, 3: 1.0, 5: 0.5, 6: 0.2, 7: 0.5, 8: 0.5, 9: 0.5, 18: 0.3, 19: 0.3, 52: 1.5, 63: 0.9}
TORSO_UPTAKE |= {64: 1.0, 65: 1.4, 66: 1.4, 67: 0.7, 68: 0.7} | dict.fromkeys(range(80, 90), 0.1)
_UNLABELLED_EDGES = (-500.0, -150.0, -20.0, 100.0)  # air, lung and edges, fat, soft tissue, bone
_FIRST_UNLABELLED = 200


@dataclass(frozen=True)
class Case:
    """A CT at the models' spacing with a label for every voxel.

    Attributes
    ----------
    image
        Hounsfield units, float32 of shape (z, y, x).
    classes
        The structure at each voxel, uint8; unlabelled voxels carry 200 and above, by kind of tissue.
    target
        1 in the structure to segment, else 0, uint8.
    means
        Mean Hounsfield units of each of the 256 classes.
    uptake
        How strongly each class takes up contrast medium in augmentation.
    """

    image: Tensor
    classes: Tensor
    target: Tensor
    means: Tensor
    uptake: Tensor


def read_torso(folder: Path) -> tuple[sitk.Image, sitk.Image]:
    """Read the torso CT and its labels from ``torso_ct_3mm`` in `folder`, in LPS orientation.

    Raises
    ------
    InputError
        When one of the two files is not there.
    """
    paths = [folder / "torso_ct_3mm" / f"{name}.nii.gz" for name in ("ct", "labels")]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} is missing: give the folder of the test data with --data")
    ct, labels = (sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS") for path in paths)
    return ct, labels


def torso_case(folder: Path, task: Task) -> Case:
    """Make a case of the torso CT; raises as `read_torso` does."""
    ct, labels = read_torso(folder)
    return _case(sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(labels), task.torso_labels, TORSO_UPTAKE)


def phantom_case(seed: int, task: Task, size: tuple[int, int, int] = (122, 108, 128)) -> Case:
    """Make a phantom of `size` voxels (x, y, z) at the models' spacing, somewhere between pelvis and heart."""
    height = float(np.random.default_rng([seed, 2]).uniform(90, 230))
    ct, labels = make_phantom(seed, size, (SPACING_MM,) * 3, centre=(0, 10, height))
    return _case(sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(labels), task.phantom_labels, {})


def _case(hu: np.ndarray, labels: np.ndarray, wanted: tuple[int, ...], uptake: dict[int, float]) -> Case:
    image = torch.from_numpy(hu.astype(np.float32)).clip(-1024, 3071)
    classes = torch.from_numpy(labels.astype(np.uint8))
    smooth = functional.avg_pool3d(image[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    kind = torch.bucketize(smooth, torch.tensor(_UNLABELLED_EDGES)).to(torch.uint8) + _FIRST_UNLABELLED
    target = torch.from_numpy(np.isin(labels, wanted).astype(np.uint8))
    classes = torch.where(classes == 0, kind, classes)
    index = classes.flatten().long()
    counts = torch.bincount(index, minlength=256).clamp(min=1)
    means = torch.bincount(index, weights=image.flatten(), minlength=256).float() / counts
    factors = torch.zeros(256)
    for label, factor in uptake.items():
        factors[label] = factor
    return Case(image, classes, target, means, factors)
