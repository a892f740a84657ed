"""Reading a ``.seg.nrrd`` as Slicer saves it after editing: layers of label values, and what each segment is."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.source.volume_file import checked_grid, open_volume, read_volume

_LONGEST_HEADER = 2**24
# Fields that describe the voxels which follow the header in the same file.
_FIELDS = {"type", "dimension", "sizes", "kinds", "endian", "encoding", "content", "labels", "units", "spacings"}
_FIELDS |= {"space", "space dimension", "space directions", "space origin", "space units", "measurement frame"}
_FIELDS |= {"centers", "centerings", "thicknesses"}
_NAMES = ("Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64")
_SCALARS = {getattr(sitk, f"sitk{name}") for name in _NAMES}
_VECTORS = {getattr(sitk, f"sitkVector{name}") for name in _NAMES}
_SEGMENT_FIELD = re.compile(r"Segment([0-9]{1,6})_(\w+)")


@dataclass(frozen=True)
class StoredSegment:
    """One segment of the file: name and sRGB colour as in Slicer, its layer, its label value there, and all tags."""

    name: str
    color: tuple[int, int, int]
    layer: int
    value: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class StoredSegmentation:
    """A segmentation file: label images, on one grid of their own, and the segments in them."""

    path: Path
    layers: tuple[sitk.Image, ...]
    segments: tuple[StoredSegment, ...]


def read_seg_nrrd(path: Path) -> StoredSegmentation:
    """Segmentation that Slicer has saved, overlapping segments in layers of their own; InputError where it is none."""
    _check_header(path)
    reader = open_volume(path)
    checked_grid(path, reader)
    fields = _fields(reader)
    if not any(key.startswith("Segmentation_") for key in reader.GetMetaDataKeys()):
        raise InputError(f"{path}: holds an image but no segmentation; save the segmentation in Slicer as .seg.nrrd")
    if reader.GetPixelIDValue() not in _SCALARS | _VECTORS:
        raise InputError(f"{path}: holds values that are not whole numbers, so they are no labels")
    segments: list[StoredSegment] = []
    while "ID" in fields.get(len(segments), {}):
        segments.append(_segment(path, len(segments), fields[len(segments)], reader.GetNumberOfComponents()))
    image = read_volume(path, reader)
    layers = [image]
    if image.GetPixelID() in _VECTORS:
        count = range(image.GetNumberOfComponentsPerPixel())
        layers = [sitk.VectorIndexSelectionCast(image, index) for index in count]
    return StoredSegmentation(path, tuple(layers), tuple(segments))


def _check_header(path: Path) -> None:
    """Check that the header ends where every reader finds its end, and has fields alone that name no other file."""
    try:
        with path.open("rb") as stream:
            header, end, _ = stream.read(_LONGEST_HEADER).partition(b"\n\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    # Slicer ends lines by a line feed; whether a carriage return ends one too is a matter of the reader.
    if not header.startswith(b"NRRD") or not end or b"\r" in header or b"\0" in header:
        raise InputError(f"{path}: is not a segmentation that Slicer has saved (.seg.nrrd)")
    for line in header.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        field = name.strip().lower().decode("latin-1")
        if field.replace(" ", "") == "datafile":
            raise InputError(f"{path}: has its voxels in another file; save it in Slicer as .seg.nrrd")
        if not line.startswith(b"#") and not value.startswith(b"=") and (not colon or field not in _FIELDS):
            raise InputError(f"{path}: its header has a field '{field[:40]}', which Slicer does not write")


def _fields(reader: sitk.ImageFileReader) -> dict[int, dict[str, str]]:
    """Fields of each segment, by its index."""
    fields: dict[int, dict[str, str]] = {}
    for key in reader.GetMetaDataKeys():
        if found := _SEGMENT_FIELD.fullmatch(key):
            # Bytes that are not UTF-8 come as halves of characters, which can be held but not stored.
            text = reader.GetMetaData(key).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            fields.setdefault(int(found[1]), {})[found[2]] = text
    return fields


def _segment(path: Path, index: int, fields: Mapping[str, str], layers: int) -> StoredSegment:
    name = fields.get("Name") or fields["ID"]
    # What Slicer itself takes where a field is missing.
    defaults = (("Layer", str(index)), ("LabelValue", "1"))
    layer, value = (_number(path, name, key, fields.get(key, default)) for key, default in defaults)
    if not 0 <= layer < layers:
        raise InputError(f"{path}: segment '{name[:64]}' is in layer {layer}, but there are {layers}")
    if value < 1:
        raise InputError(f"{path}: segment '{name[:64]}' has label value {value}, which is the background")
    pairs = [pair.partition(":") for pair in fields.get("Tags", "").split("|")]
    tags = {key: text for key, colon, text in pairs if colon}
    return StoredSegment(name, _color(fields.get("Color", "")), layer, value, tags)


def _number(path: Path, name: str, key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{path}: {key} of segment '{name[:64]}' is '{text[:20]}', not a number") from error


def _color(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = (float(part) for part in text.split())
    except ValueError:
        return 128, 128, 128
    if not all(math.isfinite(part) for part in (red, green, blue)):
        return 128, 128, 128
    red, green, blue = (min(max(part, 0.0), 1.0) for part in (red, green, blue))
    return round(255 * red), round(255 * green), round(255 * blue)
