"""Matching as in PS3.4 C.2.2.2."""

import pytest
from pydicom import Dataset

from NativeDLLib.demo.pacs_server import search, select


def header(**attributes):
    dataset = Dataset()
    usual = {
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "StudyInstanceUID": "1.1",
        "SeriesInstanceUID": "1.1.1",
        "SOPInstanceUID": "1.1.1.1",
        "StudyDate": "20260131",
        "StudyTime": "101500",
        "Modality": "CT",
    }
    for keyword, value in (usual | attributes).items():
        setattr(dataset, keyword, value)
    return dataset


HEADERS = [
    header(),
    header(SOPInstanceUID="1.1.1.2"),
    header(SeriesInstanceUID="1.1.2", SOPInstanceUID="1.1.2.1", Modality="SEG"),
    header(
        PatientID="P2",
        PatientName="Roe^[X]",
        StudyInstanceUID="1.2",
        SeriesInstanceUID="1.2.1",
        SOPInstanceUID="1.2.1.1",
    ),
    header(PatientID="P3", StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", SOPInstanceUID="1.3.1.1", StudyDate=""),
]
HEADERS[3].StudyDate = "20250630"


def query(level, **keys):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("keys", "studies"),
    [
        ({"StudyInstanceUID": ""}, ["1.1", "1.2", "1.3"]),
        ({"StudyInstanceUID": "1.1"}, ["1.1"]),
        ({"StudyInstanceUID": ["1.1", "1.3"]}, ["1.1", "1.3"]),
        ({"StudyInstanceUID": "1.*"}, []),
        ({"PatientID": "P?"}, ["1.1", "1.2", "1.3"]),
        ({"PatientID": "p1"}, []),
        ({"PatientName": "doe*"}, ["1.1", "1.3"]),
        ({"PatientName": "Roe^[[X]]"}, []),
        ({"PatientName": "Roe^[X]"}, ["1.2"]),
        ({"StudyDate": "20260131"}, ["1.1"]),
        ({"StudyDate": "20260101-20260131"}, ["1.1"]),
        ({"StudyDate": "20260101-"}, ["1.1"]),
        ({"StudyDate": "-20251231"}, ["1.2"]),
        ({"StudyTime": "1000-1015"}, ["1.1", "1.2", "1.3"]),
        ({"ModalitiesInStudy": "SEG"}, ["1.1"]),
        ({"StudyDescription": "Abdomen"}, []),
    ],
)
def test_studies_are_found_by(keys, studies):
    answers = search(HEADERS, query("STUDY", **({"StudyInstanceUID": ""} | keys)))
    assert [answer.StudyInstanceUID for answer in answers] == studies


def test_an_answer_counts_what_belongs_to_it():
    keys = {"NumberOfStudyRelatedSeries": None, "NumberOfStudyRelatedInstances": None, "ModalitiesInStudy": ""}
    (answer,) = search(HEADERS, query("STUDY", StudyInstanceUID="1.1", **keys))
    assert (answer.NumberOfStudyRelatedSeries, answer.NumberOfStudyRelatedInstances) == (2, 3)
    assert list(answer.ModalitiesInStudy) == ["CT", "SEG"]


def test_an_answer_carries_the_character_set_of_its_text():
    plain = search(HEADERS, query("PATIENT", PatientID="P1"))
    german = search([header(SpecificCharacterSet="ISO_IR 100")], query("PATIENT", PatientID="P1"))
    assert "SpecificCharacterSet" not in plain[0]
    assert german[0].SpecificCharacterSet == "ISO_IR 100"


@pytest.mark.parametrize(("level", "count"), [("PATIENT", 3), ("STUDY", 3), ("SERIES", 4), ("IMAGE", 5)])
def test_each_level_has_its_entities(level, count):
    assert len(search(HEADERS, query(level))) == count


def test_what_is_to_be_sent_is_selected_by_unique_keys_alone():
    chosen = select(HEADERS, query("SERIES", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", Modality="MR"))
    assert [item.SOPInstanceUID for item in chosen] == ["1.1.1.1", "1.1.1.2"]
    assert select(HEADERS, query("STUDY")) == []
