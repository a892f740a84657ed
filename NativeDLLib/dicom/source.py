"""The headers of the source as a derived object needs them: complete, valid, in a character set that holds all text."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from NativeDLLib.dicom.series import Series

# Type 2 in the Patient and General Study modules: they must be there, and may be empty.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
)
_UTF_8 = "ISO_IR 192"


def source_headers(series: Series, own_text: Sequence[str]) -> tuple[list[Dataset], str | list[str]]:
    """Return the headers of a series' instances, and the character set for an object derived from it.

    Attributes that must be there are added empty; a sex, date or time that DICOM does not have is left empty, as no
    conformant object can carry it. Everything else stays as it is.

    Parameters
    ----------
    series
        The source.
    own_text
        Text that the derived object adds; where the source's character set cannot hold it, the result is in UTF-8.
    """
    first = copy.copy(series.header)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in first or not _is_valid(first, keyword):
            setattr(first, keyword, None if keyword.endswith(("Date", "Time")) else "")
    charset = first.get("SpecificCharacterSet") or "ISO_IR 6"
    sets = [charset] if isinstance(charset, str) else [str(part) for part in charset]
    known = all(part in hd.enum.SpecificCharacterSetValues._value2member_map_ for part in sets)
    if not known or not all(text.isascii() for text in own_text):
        sets = [_UTF_8]
    headers = [first, *(instance.dataset for instance in series.instances[1:])]
    return headers, sets[0] if len(sets) == 1 else sets


def _is_valid(dataset: Dataset, keyword: str) -> bool:
    try:
        value = dataset.get(keyword)
        if keyword == "PatientSex":
            return value in (None, "", "M", "F", "O")
        if keyword.endswith("Date"):
            DA(value or "")
        elif keyword.endswith("Time"):
            TM(value or "")
        else:
            str(value)
    except (ValueError, TypeError, AttributeError, LookupError):
        return False
    return True
