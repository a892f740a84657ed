"""Damaging files in ways that can be repeated, and reading in a second way what the damaged files still say."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.valuerep import PersonName

# Preamble and magic word: without these a file says of itself that it is something else.
_MAGIC = 132


def flip_bytes(content: bytes, chance: random.Random, start: int = _MAGIC, end: int | None = None) -> bytes:
    """Return content with one to four bytes changed between two places."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        result[chance.randrange(start, end or len(result))] = chance.randrange(256)
    return bytes(result)


def truncate(content: bytes, chance: random.Random) -> bytes:
    """Return content without its end."""
    return content[: chance.randrange(_MAGIC, len(content))]


def drop_bytes(content: bytes, chance: random.Random) -> bytes:
    """Return content without some bytes in its midst."""
    at = chance.randrange(_MAGIC, len(content) - 8)
    return content[:at] + content[at + chance.randint(1, 8) :]


def repeat_bytes(content: bytes, chance: random.Random) -> bytes:
    """Return content with some bytes there twice."""
    at, length = chance.randrange(_MAGIC, len(content) - 64), chance.randint(1, 64)
    return content[: at + length] + content[at:]


def pixel_start(content: bytes) -> int:
    """Return where the pixel data element starts."""
    return max(content.rfind(b"\xe0\x7f\x10\x00"), content.rfind(b"\x7f\xe0\x00\x10"))


def setting(keyword: str, value: Any, vr: str | None = None) -> Callable[[Dataset], None]:
    """Return an edit that puts a value into an element past all checks, under another VR if one is given."""

    def edit(dataset: Dataset) -> None:
        known = pydicom.datadict.dictionary_VR(keyword)
        dataset.add_new(keyword, vr or known.split(" ")[0], None)
        dataset[keyword]._value = PersonName(value) if (vr or known) == "PN" else value

    return edit


def removing(keyword: str) -> Callable[[Dataset], None]:
    """Return an edit that removes an element."""

    def edit(dataset: Dataset) -> None:
        del dataset[keyword]

    return edit


def nesting(depth: int) -> Callable[[Dataset], None]:
    """Return an edit that adds sequences within sequences."""

    def edit(dataset: Dataset) -> None:
        inner = Dataset()
        for _ in range(depth):
            outer = Dataset()
            outer.ReferencedImageSequence = [inner]
            inner = outer
        dataset.ReferencedImageSequence = [inner]

    return edit


def truth(folder: Path) -> sitk.Image:
    """Return the image that the files of a folder describe, read one by one with pydicom alone."""
    planes = [plane for file in sorted(folder.iterdir()) for plane in _planes(file)]
    row, column = np.mean([orientation for _, orientation, _, _ in planes], axis=0).reshape(2, 3)
    normal = np.cross(row, column)
    planes.sort(key=lambda plane: float(np.dot(plane[0], normal)))
    first, last = (np.array(planes[i][0]) for i in (0, -1))
    image = sitk.GetImageFromArray(np.stack([values for *_, values in planes]))
    between_rows, between_columns = planes[0][2]
    image.SetSpacing((between_columns, between_rows, float((last - first) @ normal) / (len(planes) - 1)))
    image.SetOrigin(first.tolist())
    image.SetDirection(np.column_stack([row, column, normal]).ravel().tolist())
    return image


def _planes(file: Path) -> list[tuple[Any, Any, Any, npt.NDArray[Any]]]:
    dataset = pydicom.dcmread(file)
    if "PixelData" not in dataset:
        return []
    frames = dataset.get("PerFrameFunctionalGroupsSequence")
    if frames is None:
        values = pixel_array(dataset, raw=True) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        places = (dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing)
        return [(*places, values.astype(np.float32))]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    scale = shared.PixelValueTransformationSequence[0]
    stored = pixel_array(dataset, raw=True) * float(scale.RescaleSlope) + float(scale.RescaleIntercept)
    return [
        (
            frame.PlanePositionSequence[0].ImagePositionPatient,
            shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            shared.PixelMeasuresSequence[0].PixelSpacing,
            values.astype(np.float32),
        )
        for frame, values in zip(frames, stored, strict=True)
    ]
