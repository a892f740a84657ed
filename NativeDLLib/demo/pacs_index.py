"""The catalogue of the embedded PACS: the headers of its objects, searched as PS3.4 C.2.2.2 says."""

import fnmatch
from collections.abc import Iterable

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue

UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
_RANGE_VRS = ("DA", "TM", "DT")
_TEXT_VRS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_COUNTS = {
    "NumberOfPatientRelatedStudies": "StudyInstanceUID",
    "NumberOfPatientRelatedSeries": "SeriesInstanceUID",
    "NumberOfPatientRelatedInstances": "SOPInstanceUID",
    "NumberOfStudyRelatedSeries": "SeriesInstanceUID",
    "NumberOfStudyRelatedInstances": "SOPInstanceUID",
    "NumberOfSeriesRelatedInstances": "SOPInstanceUID",
}


def search(headers: Iterable[Dataset], query: Dataset) -> list[Dataset]:
    """Matches of a C-FIND identifier, one data set an entity of its level; KeyError where the level is unknown."""
    unique = UNIQUE_KEYS[str(query.get("QueryRetrieveLevel", ""))]
    entities: dict[str, list[Dataset]] = {}
    for header in headers:
        entities.setdefault(str(header.get(unique, "")), []).append(header)
    answers = (_summary(members, query) for members in entities.values())
    return [answer for answer in answers if all(_matches(key, answer) for key in query)]


def select(headers: Iterable[Dataset], query: Dataset) -> list[Dataset]:
    """Return the headers of the instances that a C-GET or C-MOVE identifier names by its unique keys."""
    keys = [element for element in query if element.keyword in UNIQUE_KEYS.values() and element.value]
    return [header for header in headers if keys and all(_matches(key, header) for key in keys)]


def _summary(members: list[Dataset], query: Dataset) -> Dataset:
    """Fill in what the query asks for about one entity, from the instances that belong to it."""
    answer = Dataset()
    for key in query:
        if key.keyword in _COUNTS:
            value: object = str(len({header.get(_COUNTS[key.keyword]) for header in members}))
        elif key.keyword == "ModalitiesInStudy":
            value = sorted({str(header.get("Modality", "")) for header in members} - {""})
        elif key.keyword == "QueryRetrieveLevel":
            value = key.value
        else:
            value = members[0][key.tag].value if key.tag in members[0] else None
        answer.add(DataElement(key.tag, key.VR, value))
    if "SpecificCharacterSet" in members[0]:
        answer.SpecificCharacterSet = members[0].SpecificCharacterSet
    return answer


def _matches(key: DataElement, candidate: Dataset) -> bool:
    if key.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet", *_COUNTS) or key.VR == "SQ" or not key.value:
        return True
    found = _strings(candidate[key.tag].value) if key.tag in candidate else []
    return any(_value_matches(key.VR, wanted, value) for wanted in _strings(key.value) for value in found)


def _value_matches(vr: str, wanted: str, value: str) -> bool:
    if vr in _RANGE_VRS and "-" in wanted:
        first, _, last = wanted.partition("-")
        return bool(value) and (not first or value >= first) and (not last or value[: len(last)] <= last)
    if vr in _TEXT_VRS:
        if vr == "PN":
            wanted, value = wanted.casefold(), value.casefold()
        return fnmatch.fnmatchcase(value, wanted.replace("[", "[[]"))
    return value == wanted


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple | MultiValue) else [value]
    return [str(item) for item in values if item is not None]
