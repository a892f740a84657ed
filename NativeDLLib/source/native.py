"""Pixel data that lie in the file as they are: read in one go, without parsing the file a second time."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from NativeDLLib.source.fast_values import plain_text, plain_whole
from NativeDLLib.source.header import Instance


def native_frame(instance: Instance) -> npt.NDArray[Any] | None:
    """Stored values (rows, columns) of a single uncompressed frame, exactly as pydicom's ``pixel_array`` gives them.
    None where anything about the file is unusual: pydicom is to decode or refuse it.
    """
    if instance.pixel_start is None or not instance.pixel_bytes:
        return None
    number = partial(_whole, instance.dataset)
    if number("SamplesPerPixel") != 1 or (
        "NumberOfFrames" in instance.dataset and instance.dataset.NumberOfFrames != 1
    ):
        return None
    meaning = plain_text(instance.dataset, "PhotometricInterpretation")
    if (meaning or instance.dataset.get("PhotometricInterpretation")) not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    rows, columns, kept = number("Rows"), number("Columns"), number("BitsStored")
    allocated, signed = number("BitsAllocated"), number("PixelRepresentation")
    if rows < 1 or columns < 1 or allocated not in (8, 16) or not 1 <= kept <= allocated or signed not in (0, 1):
        return None
    if not rows * columns * allocated // 8 <= instance.pixel_bytes < 0xFFFFFFFF:
        return None
    stored = np.empty((rows, columns), f"<{'ui'[signed]}{allocated // 8}")
    with instance.path.open("rb", buffering=0) as stream:
        stream.seek(instance.pixel_start)
        if stream.readinto(stored.data) != stored.nbytes:
            return None
    return without_unused_bits(stored, kept)


def without_unused_bits(stored: npt.NDArray[Any], kept: int) -> npt.NDArray[Any]:
    """Whole numbers, which may be changed, without the bits above the `kept` ones stored, of which nothing is known
    (PS3.5 8.1.1). The sign of signed values is drawn over them.
    """
    unused = 8 * stored.dtype.itemsize - kept
    if unused and stored.dtype.kind == "i":
        stored <<= unused
        stored >>= unused
    elif unused:
        stored &= stored.dtype.type(2**kept - 1)
    return stored


def _whole(dataset: Dataset, keyword: str) -> int:
    """Return a whole number, or -1 where there is none."""
    value = plain_whole(dataset, keyword)
    if value is None:
        value = dataset.get(keyword)
    return value if isinstance(value, int) else -1
