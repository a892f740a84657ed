"""Damaging files in ways that can be repeated, and reading in a second way what the damaged files still say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.valuerep import PersonName

CAMPAIGN = pytest.mark.campaign
# Preamble and magic word: without these a file says of itself that it is something else.
_MAGIC = 132


def these(names: Iterable[Any], daily: Collection[Any]) -> list[Any]:
    """Return parameters of a test of which only some are tried every day."""
    return [pytest.param(name, marks=() if name in daily else CAMPAIGN) for name in names]


def seeds(count: int) -> Any:
    """Return the mark that tries some seeds, the first of them every day."""
    return pytest.mark.parametrize("seed", these(range(count), [0]))


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


def change_json(path: Path, chance: random.Random, change: Callable[[Any, Any, random.Random], None]) -> None:
    """Change one place of a JSON file, drawn by chance, two levels down or deeper where there are such."""
    data = json.loads(path.read_text())
    found = list(_places(data))
    *way, last = chance.choice([place for place in found if len(place) > 2] or found)
    here = data
    for step in way:
        here = here[step]
    change(here, last, chance)
    path.write_text(json.dumps(data))


def _places(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*way, key)
        yield from _places(value, (*way, key))


def without(here: Any, last: Any, _: random.Random) -> None:
    """Remove what is there."""
    here.pop(last)


def renamed(here: Any, last: Any, _: random.Random) -> None:
    """Give it another key, or put an element of a list there twice."""
    if isinstance(here, dict):
        here[f"{last} "] = here.pop(last)
    else:
        here.append(here[last])


def replaced(here: Any, last: Any, chance: random.Random) -> None:
    """Put something of another kind there."""
    here[last] = chance.choice(_VALUES)


_VALUES = [
    None, True, 0, -1, 1.5, 10**30, -1e308, "", "x", "x" * 5000, "\u0000", "a\nb", "肝", [], {}, [[]], [0] * 5000,
    {"parameter": "none"}, {"parameter": {"parameter": "step"}}, ["CT", 1, None],
]  # fmt: skip


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


def truth(files: Iterable[Path]) -> sitk.Image:
    """Return the image that files describe, read one by one with pydicom alone."""
    planes = [plane for file in files for plane in _planes(file)]
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
    if "Enhanced" not in dataset.SOPClassUID.name:
        values = pixel_array(dataset, raw=True) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        places = (dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing)
        return [(*places, values.astype(np.float32))]
    frames = dataset.PerFrameFunctionalGroupsSequence
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


# Edits after which no image can be made in truth, whichever slice they strike.
REFUSED = {
    "rows of 65535": setting("Rows", 65535),
    "columns of 65535": setting("Columns", 65535),
    "no rows": setting("Rows", 0),
    "rows as text": setting("Rows", "many", "LO"),
    "rows halved": setting("Rows", 16),
    "rows removed": removing("Rows"),
    "columns emptied": setting("Columns", None),
    "8 bits": setting("BitsAllocated", 8),
    "0 bits": setting("BitsAllocated", 0),
    "bits as text": setting("BitsAllocated", "16", "LO"),
    "bits removed": removing("BitsAllocated"),
    "17 of 16 bits": setting("BitsStored", 17),
    "sign removed": removing("PixelRepresentation"),
    "sign of 7": setting("PixelRepresentation", 7),
    "three samples": setting("SamplesPerPixel", 3),
    "colour": setting("PhotometricInterpretation", "RGB"),
    "photometry removed": removing("PhotometricInterpretation"),
    "pixel data removed": removing("PixelData"),
    "pixel data emptied": setting("PixelData", b""),
    "pixel data doubled": setting("PixelData", bytes(2 * 2 * 32 * 40)),
    "two frames": setting("NumberOfFrames", "2"),
    "frames as text": setting("NumberOfFrames", "two", "LO"),
    "position nan": setting("ImagePositionPatient", ["nan", "nan", "nan"], "LO"),
    "position far": setting("ImagePositionPatient", ["1e30", "1e30", "1e30"]),
    "position at infinity": setting("ImagePositionPatient", ["1e999", "0", "0"], "LO"),
    "position of two": setting("ImagePositionPatient", ["0", "0"]),
    "position as text": setting("ImagePositionPatient", ["here", "", ""], "LO"),
    "position as bytes": setting("ImagePositionPatient", b"123", "OB"),
    "position emptied": setting("ImagePositionPatient", None),
    "position as sequence": setting("ImagePositionPatient", [Dataset()], "SQ"),
    "orientation nil": setting("ImageOrientationPatient", ["0"] * 6),
    "orientation skew": setting("ImageOrientationPatient", ["1", "0", "0", "0.7", "0.7", "0"]),
    "orientation removed": removing("ImageOrientationPatient"),
    "orientation as bytes": setting("ImageOrientationPatient", b"123456", "OB"),
    "pixels of no size": setting("PixelSpacing", ["0", "0"]),
    "pixels of a metre": setting("PixelSpacing", ["1000", "1000"]),
    "negative pixels": setting("PixelSpacing", ["-1", "-1"]),
    "pixel size as bytes": setting("PixelSpacing", b"12", "OB"),
    "slope of 0": setting("RescaleSlope", "0"),
    "slope as text": setting("RescaleSlope", "steep", "LO"),
    "slope beyond numbers": setting("RescaleSlope", "1e300"),
    "intercept beyond numbers": setting("RescaleIntercept", "-1e300"),
    "padding as text": setting("PixelPaddingValue", "none", "LO"),
    "class removed": removing("SOPClassUID"),
    "class emptied": setting("SOPClassUID", ""),
    "instance removed": removing("SOPInstanceUID"),
    "instance invalid": setting("SOPInstanceUID", "1.2..3"),
    "study invalid": setting("StudyInstanceUID", "study 1"),
    "study of two": setting("StudyInstanceUID", ["1.2", "1.3"]),
    "study as sequence": setting("StudyInstanceUID", [Dataset()], "SQ"),
    "frame of reference removed": removing("FrameOfReferenceUID"),
    "modality emptied": setting("Modality", ""),
    "localizer": setting("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
}
# Edits that touch neither pixels nor places.
HARMLESS = {
    "thickness removed": removing("SliceThickness"),
    "patient without id": setting("PatientID", None),
    "patient without name": removing("PatientName"),
    "a name of control characters": setting("PatientName", b"A\x01B\x1b$C", "PN"),
    "a name of names": setting("PatientName", "=" * 9 + "^" * 9),
    "an endless name": setting("PatientName", "x" * 10_000),
    "born nowhen": setting("PatientBirthDate", "yesterday"),
    "sex of a number": setting("PatientSex", 7, "US"),
    "study at any time": setting("StudyTime", "99:99"),
    "study id in two": setting("StudyID", ["1", "2"]),
    "accession as bytes": setting("AccessionNumber", b"\xff\xfe", "OB"),
    "study date as sequence": setting("StudyDate", [Dataset()], "SQ"),
    "series number as text": setting("SeriesNumber", "three", "LO"),
    "series number beyond": setting("SeriesNumber", "99999999999", "IS"),
    "instance number removed": removing("InstanceNumber"),
    "character set unknown": setting("SpecificCharacterSet", "KLINGON"),
    "character sets of eight": setting("SpecificCharacterSet", ["ISO_IR 100"] * 8),
    "descriptions of bytes": setting("SeriesDescription", b"\xff" * 99, "OB"),
    "body part of a number": setting("BodyPartExamined", 1.5, "FD"),
    "nested 10 deep": nesting(10),
    "nested 150 deep": nesting(150),
    "a long sequence": setting("ReferencedImageSequence", [Dataset() for _ in range(5000)]),
    "an unknown element": lambda dataset: dataset.add_new(0x00091001, "UN", b"\0" * 1001),
    "one frame": setting("NumberOfFrames", "1"),
    "tilt of text": setting("GantryDetectorTilt", "much", "LO"),
    "spacing between slices nil": setting("SpacingBetweenSlices", "0"),
    "equipment of nothing": setting("Manufacturer", None),
    "groups of nothing": setting("PerFrameFunctionalGroupsSequence", []),
    "groups of an image": setting("PerFrameFunctionalGroupsSequence", [Dataset()]),
    "groups as text": setting("PerFrameFunctionalGroupsSequence", "groups", "LO"),
    "laterality unknown": setting("Laterality", "UP"),
}
