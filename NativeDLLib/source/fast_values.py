"""Values taken from an element's own bytes, where these leave no doubt.

pydicom parses a header quickly but converts its values slowly, and a series has thousands of them. Plain cases are
converted here; everything else is None, and pydicom's to judge.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Literal

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

_PLAIN_TEXT = {"UI": re.compile(rb"[0-9.]+\0?"), "CS": re.compile(rb"[A-Z0-9_\\]+ ?")}
_PLAIN_NUMBERS = re.compile(rb"[0-9+\-.eE\\ ]+")


def plain_text(dataset: Dataset, keyword: str) -> str | None:
    """Return a UID or code string, its values parted by backslashes, that holds nothing unusual."""
    vr, value, _ = _as_stored(dataset, keyword)
    pattern = _PLAIN_TEXT.get(vr)
    return value.decode("ascii").rstrip("\0 ") if pattern is not None and pattern.fullmatch(value) else None


def plain_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Return the numbers of a plain decimal string or unsigned short; none where it is absent."""
    vr, value, _ = _as_stored(dataset, keyword)
    if vr == "DS":
        return _numbers(value)
    if vr != "US":
        return () if _tag(keyword) not in dataset else None
    whole = plain_whole(dataset, keyword)
    return None if whole is None else (float(whole),)


@lru_cache(maxsize=256)
def _numbers(value: bytes) -> tuple[float, ...] | None:
    """Return the numbers of plain text; most attributes are the same in all slices."""
    if not _PLAIN_NUMBERS.fullmatch(value):
        return None
    try:
        return tuple(float(part) for part in value.split(b"\\"))
    except ValueError:
        return None


def plain_whole(dataset: Dataset, keyword: str) -> int | None:
    """Return the number of an unsigned short of one value."""
    vr, value, order = _as_stored(dataset, keyword)
    return int.from_bytes(value, order) if vr == "US" and len(value) == 2 else None


def groups_alike(datasets: Sequence[Dataset], keywords: Sequence[str]) -> list[list[int]]:
    """Indices of the data sets that certainly have the same values of some attributes, in the order of their first.
    Whether bytes are the value that another data set has converted already, only conversion would tell: they are apart.
    """
    tags = [_tag(keyword) for keyword in keywords]
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, dataset in enumerate(datasets):
        key = tuple(_compared(dataset.get_item(tag)) for tag in tags)
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _compared(element: RawDataElement | DataElement | None) -> object:
    if isinstance(element, RawDataElement):
        return element.VR, element.value, element.is_little_endian
    return element and (element.VR, str(element.value))


def _as_stored(dataset: Dataset, keyword: str) -> tuple[str, bytes, Literal["little", "big"]]:
    """Return VR, bytes and byte order of an element; an empty VR where it is absent or has been converted."""
    element: Any = dataset.get_item(_tag(keyword))
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return "", b"", "little"
    return element.VR or dictionary_VR(element.tag), element.value, "little" if element.is_little_endian else "big"


_tag = cache(Tag)
