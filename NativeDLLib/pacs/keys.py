"""The attributes of a query: what each level returns, and which keys it needs."""

from collections.abc import Mapping

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from NativeDLLib.core.errors import UsageError

_RETURNED = {
    "PATIENT": "PatientID PatientName PatientBirthDate PatientSex",
    "STUDY": "PatientID PatientName StudyDate StudyTime AccessionNumber StudyDescription ModalitiesInStudy "
    "StudyInstanceUID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances",
    "SERIES": "StudyInstanceUID SeriesInstanceUID Modality SeriesNumber SeriesDescription BodyPartExamined "
    "NumberOfSeriesRelatedInstances",
    "IMAGE": "StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID InstanceNumber",
}
RETURN_KEYS = {level: keywords.split() for level, keywords in _RETURNED.items()}
# The query models are hierarchical: a level is searched within one entity of the level above (PS3.4 C.4.1.2.1).
_NEEDED = {"SERIES": ("StudyInstanceUID",), "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID")}


def identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    """Make a query's identifier from the matching keys and the usual return keys of the level."""
    if level not in RETURN_KEYS:
        raise UsageError(f"'{level}' is not a query level; levels are {', '.join(RETURN_KEYS)}")
    for keyword in _NEEDED.get(level, ()):
        if not keys.get(keyword):
            raise UsageError(f"{level.lower()} level is searched within one {keyword}: give that too")
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword in RETURN_KEYS[level]:
        setattr(query, keyword, "")
    for keyword, value in keys.items():
        if tag_for_keyword(keyword) is None:
            raise UsageError(f"'{keyword}' is not a DICOM keyword; write keys like PatientID or StudyDate")
        setattr(query, keyword, value)
    if not all(value.isascii() for value in keys.values()):
        query.SpecificCharacterSet = "ISO_IR 192"
    return query
