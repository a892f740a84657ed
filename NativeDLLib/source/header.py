"""Reading the headers of DICOM files, and values out of them, with errors that name the file and the attribute."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom import uid as uids
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from NativeDLLib.core.deflated import START, beginning, holds
from NativeDLLib.core.errors import InputError
from NativeDLLib.source.fast_values import plain_numbers, plain_text

# A file without the preamble of PS3.10 starts with its first element: a group number in either byte order.
_BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
# The tag of integer pixel data (7FE0,0010), little endian.
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_UNDEFINED = 0xFFFFFFFF
# Bytes that some writers pad pixel data with, and more.
_SPARE = 2**16
_FUNCTIONAL_GROUPS = (Tag("SharedFunctionalGroupsSequence"), Tag("PerFrameFunctionalGroupsSequence"))
# Attributes that a multi-frame image has in its functional groups alone (PS3.3 C.7.6.16, C.8.15.3.10).
_OF_FRAMES = (
    *map(Tag, ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")),
    *map(Tag, ("SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "RescaleType")),
)


# Image storage classes whose frames are slices with a place in the patient (PS3.4 B.5).
MULTIFRAME_CLASSES = {
    *(uids.EnhancedCTImageStorage, uids.EnhancedMRImageStorage, uids.EnhancedPETImageStorage),
    *(uids.LegacyConvertedEnhancedCTImageStorage, uids.LegacyConvertedEnhancedMRImageStorage),
    uids.LegacyConvertedEnhancedPETImageStorage,
}
IMAGE_CLASSES = MULTIFRAME_CLASSES | {
    *(uids.CTImageStorage, uids.MRImageStorage, uids.PositronEmissionTomographyImageStorage)
}


class DamageError(ValueError):
    """A damage found here, and not by pydicom, whose words say little to a reader."""


class DamagedFileError(InputError):
    """A damaged DICOM file, and the series that it still says it is of; empty where it does not."""

    def __init__(self, path: Path, message: str, series_uid: str = "") -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.series_uid = path, series_uid


@dataclass(frozen=True)
class Instance:
    """One DICOM file: where it is, its data set up to the pixel data, and what it says of these. The data set has one
    geometry: that of the functional groups in a multi-frame image, and that of the image itself in any other.
    """

    path: Path
    dataset: Dataset
    pixel_bytes: int | None = None  # how many follow; None where only decoding tells, in compressed files
    pixel_start: int | None = None  # place in the file, inflated if it is deflated; None where they are no integers

    @cached_property
    def sop_class(self) -> str:
        """SOP Class UID; empty where it is missing."""
        return self.text("SOPClassUID")

    @property
    def is_multiframe(self) -> bool:
        """Whether its frames are described in functional groups."""
        return self.sop_class in MULTIFRAME_CLASSES

    @property
    def image_type(self) -> set[str]:
        """Values of Image Type (PS3.3 C.7.6.1.1.2) in capitals."""
        return set(self.text("ImageType").upper().split("\\"))

    @property
    def is_localizer(self) -> bool:
        """Whether it is an overview image, on which slices were planned."""
        return "LOCALIZER" in self.image_type

    def text(self, keyword: str) -> str:
        """Return an attribute as stripped text; empty where it is absent, empty or undecodable."""
        return text(self.dataset, keyword)

    def error(self, message: str) -> InputError:
        """Return an error about this file."""
        return InputError(f"{self.path}: {message}")


def read_header(path: Path) -> Instance | None:
    """Data set of a file up to the pixel data, None where the file is not DICOM at all. The preamble of PS3.10 may be
    missing. InputError where the file is, or claims to be, DICOM and cannot be read.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(START)
            stream.seek(0)
            return _read_header(path, stream, start)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _read_header(path: Path, stream: BinaryIO, start: bytes) -> Instance | None:
    has_preamble = start[128:132] == b"DICM"
    if not has_preamble and start[:2] not in _BARE_STARTS:
        return None
    dataset = None
    try:
        plain, deflated = beginning(stream)
        dataset = pydicom.dcmread(plain, stop_before_pixels=True, force=not has_preamble)
        if not _may_be_image(dataset):
            return Instance(path, dataset) if has_preamble or "SOPClassUID" in dataset else None
        pixel_bytes, pixel_start = _pixel_data(plain, dataset)
        if deflated:
            dataset.file_meta.TransferSyntaxUID = uids.DeflatedExplicitVRLittleEndian
            _check_deflated(stream, dataset, pixel_bytes or 0, pixel_start or 0)
    # pydicom lets whatever its parser stumbles over pass through: struct.error, KeyError, zlib.error ...
    except Exception as error:
        if not has_preamble:
            return None
        reason = f" ({error})" if isinstance(error, DamageError) else ""
        of = "" if dataset is None else text(dataset, "SeriesInstanceUID")
        raise DamagedFileError(path, f"is a damaged DICOM file{reason}; repair or remove it", of) from error
    if "SOPClassUID" not in dataset and "Rows" not in dataset and not has_preamble:
        return None
    _leave_one_geometry(dataset)
    return Instance(path, dataset, pixel_bytes, pixel_start)


def _may_be_image(dataset: Dataset) -> bool:
    """Tell whether the file or its data set says that it is an image, or neither says anything."""
    if (sop_class := text(dataset, "SOPClassUID")) in IMAGE_CLASSES:
        return True
    declared = {sop_class, text(dataset.file_meta, "MediaStorageSOPClassUID")} - {""}
    return not declared or any(one in IMAGE_CLASSES or not uids.UID(one).is_valid for one in declared)


def _leave_one_geometry(dataset: Dataset) -> None:
    """Remove what an image of its class does not have, so that nobody takes its place or its values from there."""
    if (sop_class := text(dataset, "SOPClassUID")) in IMAGE_CLASSES:
        for tag in _OF_FRAMES if sop_class in MULTIFRAME_CLASSES else _FUNCTIONAL_GROUPS:
            dataset.pop(tag, None)


def text(dataset: Dataset, keyword: str) -> str:
    """Return an attribute as stripped text; empty where it is absent, empty or undecodable."""
    if (plain := plain_text(dataset, keyword)) is not None:
        return plain
    try:
        element: Any = dataset.get_item(keyword)
        # The bytes stay in the data set: what is derived from it may need them as they are.
        if isinstance(element, RawDataElement):
            element = convert_raw_data_element(element, encoding=dataset.original_character_set, ds=dataset)
    except Exception:
        return ""
    value = None if element is None else element.value
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        return "\\".join(str(part) for part in value)
    return "" if value is None else str(value).replace("\0", "").strip()


def numbers(dataset: Dataset, keyword: str, count: int, where: Path) -> tuple[float, ...] | None:
    """Finite numbers of an attribute, None where it is absent or empty; InputError where they are not `count`."""
    result = all_numbers(dataset, keyword, where)
    if not result:
        return None
    if len(result) != count or not all(math.isfinite(part) for part in result):
        shown = "\\".join(f"{part:g}" for part in result)
        raise InputError(f"{where}: {keyword} must be {count} finite number(s) but is '{shown}'")
    return result


def all_numbers(dataset: Dataset, keyword: str, where: Path) -> tuple[float, ...]:
    """Return an attribute's numbers, however many; none where it is absent or empty. See `numbers`."""
    result = plain_numbers(dataset, keyword)
    if result is not None:
        return result
    try:
        value: Any = dataset.get(keyword)
        if value is None or value == "":
            return ()
        # Text and bytes are one value: iterated, bytes would be numbers of their own.
        parts = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]
        return tuple(float(part) for part in parts)
    except Exception as error:
        raise InputError(f"{where}: {keyword} is not a number") from error


def number(dataset: Dataset, keyword: str, where: Path) -> float | None:
    """Return an attribute that is one finite number, or None where it is absent or empty; see `numbers`."""
    values = numbers(dataset, keyword, 1, where)
    return None if values is None else values[0]


def _pixel_data(stream: BinaryIO, dataset: Dataset) -> tuple[int | None, int | None]:
    """Return length and start of the pixel data that come here: tag, VR if explicit, length (PS3.5 7.1)."""
    implicit, little = dataset.original_encoding
    # Decoding asks for the transfer syntax: one that is missing is what was read.
    if "TransferSyntaxUID" not in dataset.file_meta:
        explicit = uids.ExplicitVRLittleEndian if little else uids.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uids.ImplicitVRLittleEndian if implicit else explicit
    syntax = dataset.file_meta.TransferSyntaxUID
    place, start = stream.tell(), stream.read(12)
    if start and not implicit and start[4:6] not in (b"OB", b"OW", b"UN"):
        raise DamageError("its pixel data are of a kind that is none")
    if start and syntax.is_encapsulated:
        if start[8:] != b"\xff\xff\xff\xff":
            raise DamageError("its compressed pixel data have a length, which they never have")
        _check_fragments(stream)
        return None, place + 12
    length = int.from_bytes(start[4:8] if implicit else start[8:12], "little" if little else "big")
    place += 8 if implicit else 12
    whole = isinstance(stream, BytesIO) or length == _UNDEFINED
    if start and not whole and length > os.fstat(stream.fileno()).st_size - place:
        raise DamageError("its pixel data break off")
    plain = start[:4] == _PIXEL_DATA and syntax in (uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian)
    return length, place if plain else None


def _check_deflated(stream: BinaryIO, dataset: Dataset, length: int, start: int) -> None:
    """Check that deflated pixel data are all there, and are no more than the image has."""
    sizes = [dataset.get(keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "NumberOfFrames")]
    rows, columns, bits, frames = (int(size or 1) for size in sizes)
    if length > rows * columns * max(bits, 8) // 8 * frames + _SPARE:
        raise DamageError("its deflated pixel data are longer than the image")
    if not holds(stream, start + length):
        raise DamageError("its deflated data break off or are damaged")


def _check_fragments(stream: BinaryIO) -> None:
    """Check that the fragments of compressed pixel data are all there (PS3.5 A.4), as decoders make up the rest."""
    size = os.fstat(stream.fileno()).st_size
    while (item := stream.read(8))[:4] == b"\xfe\xff\x00\xe0":
        if stream.seek(int.from_bytes(item[4:], "little"), os.SEEK_CUR) > size:
            break
    # With its end marked, no length on the way was wrong.
    if item != b"\xfe\xff\xdd\xe0\0\0\0\0":
        raise DamageError("its compressed pixel data break off")
