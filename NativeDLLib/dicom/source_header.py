"""The headers of the source as a derived object needs them: complete, valid, in a character set that holds all text."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from NativeDLLib.source.series import Series

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
# Defined terms of PS3.3 C.12.1.1.2 that stand alone.
_CHARACTER_SETS = {
    *(f"ISO_IR {number}" for number in (13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192, 203)),
    "GB18030",
    "GBK",
}
# Away from the numbers that scanners give, so that what is derived stands below the images it belongs to.
_SERIES_NUMBER_OFFSET = 9000


def source_header(series: Series, own_text: Sequence[str]) -> tuple[Dataset, str]:
    """Return the header of a series' first instance, and the character set for an object derived from the series.

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
            first.add_new(keyword, dictionary_VR(keyword), None if keyword.endswith(("Date", "Time")) else "")
    given = first.get("SpecificCharacterSet") or "ISO_IR 6"
    sets = [given] if isinstance(given, str) else [str(part) for part in given]
    # Sets that switch from one to the other within a text are often written wrongly, and never needed with UTF-8.
    known = len(sets) == 1 and sets[0] in _CHARACTER_SETS
    charset = sets[0] if known and all(text.isascii() for text in own_text) else _UTF_8
    return first, charset


def derived_series_number(series: Series) -> int:
    """Return the Series Number for an object derived from a series."""
    try:
        number = int(series.text("SeriesNumber"))
    except ValueError:
        number = 0
    return _SERIES_NUMBER_OFFSET + number if 0 <= number < 10**6 else _SERIES_NUMBER_OFFSET


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
    # A value that pydicom cannot make sense of, whatever it raises, is none that a SEG could carry.
    except Exception:
        return False
    return True
