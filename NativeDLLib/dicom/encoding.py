"""Elements, items and sequences as bytes in Explicit VR Little Endian (PS3.5 7.1.2 and 7.5)."""

import struct
from collections.abc import Iterable
from functools import cache

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

_PADDING = {"UI": b"\0"}
_LONGEST_SHORT = 0xFFFF


def element(keyword: str, vr: str, value: bytes) -> bytes:
    """Return an element whose VR has a length of two bytes; text that is odd is padded."""
    value += _PADDING.get(vr, b" ")[: len(value) % 2]
    if len(value) > _LONGEST_SHORT:
        raise ValueError(f"a {vr} of {len(value)} bytes does not fit its length of two bytes")
    return _tag(keyword) + struct.pack("<2sH", vr.encode(), len(value)) + value


def sequence(keyword: str, items: Iterable[bytes]) -> bytes:
    """Return a sequence of items, each given as its elements in the order of their tags."""
    value = sequence_value(items)
    return _tag(keyword) + struct.pack("<2sHI", b"SQ", 0, len(value)) + value


def sequence_value(items: Iterable[bytes]) -> bytes:
    """Return the items of a sequence without its tag and length."""
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content for content in items)


def elements(dataset: Dataset) -> bytes:
    """Return all elements of a data set that holds nothing but ASCII."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    return stream.getvalue()


@cache
def _tag(keyword: str) -> bytes:
    tag = Tag(keyword)
    return struct.pack("<HH", tag.group, tag.element)
