"""Values taken from an element's own bytes, where these leave no doubt.

pydicom parses a header quickly but converts its values slowly, and a series has thousands of them. Plain cases are
converted here; everything else is None, and pydicom's to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_PLAIN_TEXT = {"UI": re.compile(rb"[0-9.]+\0?"), "CS": re.compile(rb"[A-Z0-9_\\]+ ?")}
_PLAIN_NUMBERS = re.compile(rb"[0-9+\-.eE\\ ]+")


def plain_text(dataset: Dataset, keyword: str) -> str | None:
    """Return a UID or code string, its values parted by backslashes, that holds nothing unusual."""
    element = _unconverted(dataset, keyword)
    if element is None or not isinstance(element.value, bytes):
        return None
    pattern = _PLAIN_TEXT.get(_vr(element))
    if pattern is None or not pattern.fullmatch(element.value):
        return None
    return element.value.decode("ascii").rstrip("\0 ")


def plain_numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Return the numbers of a decimal string that holds nothing unusual."""
    element = _unconverted(dataset, keyword)
    if element is None or not isinstance(element.value, bytes) or _vr(element) != "DS":
        return None
    if not _PLAIN_NUMBERS.fullmatch(element.value):
        return None
    try:
        return tuple(float(part) for part in element.value.split(b"\\"))
    except ValueError:
        return None


def plain_whole(dataset: Dataset, keyword: str) -> int | None:
    """Return the number of an unsigned short of one value."""
    element = _unconverted(dataset, keyword)
    if element is None or not isinstance(element.value, bytes) or len(element.value) != 2 or _vr(element) != "US":
        return None
    return int.from_bytes(element.value, "little" if element.is_little_endian else "big")


def alike(datasets: Iterable[Dataset], keyword: str) -> bool:
    """Tell whether all data sets certainly have the same value, or none; False where only conversion would tell."""
    found = set()
    for dataset in datasets:
        element = _unconverted(dataset, keyword)
        if element is None and keyword in dataset:
            return False
        found.add(None if element is None else (element.VR, element.value, element.is_little_endian))
    return len(found) == 1


def _unconverted(dataset: Dataset, keyword: str) -> RawDataElement | None:
    element = dataset.get_item(_tag(keyword))
    return element if isinstance(element, RawDataElement) else None


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


def _vr(element: RawDataElement) -> str:
    return element.VR or dictionary_VR(element.tag)
