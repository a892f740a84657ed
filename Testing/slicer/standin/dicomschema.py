"""The tables of a DICOM database of Slicer, CTK's schema 0.8.1, and of its tag cache."""

import hashlib
from typing import Any

import pydicom

VERSION = "0.8.1"
FIELDS = {
    "Patients": {
        "PatientsName": "PatientName",
        "PatientID": "PatientID",
        "PatientsBirthDate": "PatientBirthDate",
        "PatientsBirthTime": "PatientBirthTime",
        "PatientsSex": "PatientSex",
        "PatientsAge": "PatientAge",
        "PatientsComments": "PatientComments",
    },
    "Studies": {
        "StudyID": "StudyID",
        "StudyDate": "StudyDate",
        "StudyTime": "StudyTime",
        "StudyDescription": "StudyDescription",
        "AccessionNumber": "AccessionNumber",
        "ModalitiesInStudy": "ModalitiesInStudy",
        "InstitutionName": "InstitutionName",
        "ReferringPhysician": "ReferringPhysicianName",
        "PerformingPhysiciansName": "PerformingPhysicianName",
    },
    "Series": {
        "SeriesNumber": "SeriesNumber",
        "SeriesDate": "SeriesDate",
        "SeriesTime": "SeriesTime",
        "SeriesDescription": "SeriesDescription",
        "Modality": "Modality",
        "BodyPartExamined": "BodyPartExamined",
        "FrameOfReferenceUID": "FrameOfReferenceUID",
        "AcquisitionNumber": "AcquisitionNumber",
        "ContrastAgent": "ContrastBolusAgent",
        "ScanningSequence": "ScanningSequence",
        "EchoNumber": "EchoNumbers",
        "TemporalPosition": "TemporalPositionIdentifier",
    },
}
_DISPLAYED = {
    "Patients": ("DisplayedPatientsName", "DisplayedNumberOfStudies", "DisplayedLastStudyDate"),
    "Studies": ("DisplayedNumberOfSeries",),
    "Series": ("DisplayedCount", "DisplayedSize", "DisplayedNumberOfFrames"),
}
# What is not text; a DATE column turns "20260102" into a number, as in Slicer's own files.
TYPES = {
    "PatientsBirthDate": "DATE",
    "StudyDate": "DATE",
    "SeriesDate": "DATE",
    "SeriesNumber": "INT",
    "AcquisitionNumber": "INT",
    "EchoNumber": "INT",
    "TemporalPosition": "INT",
    "DisplayedCount": "INT",
    "DisplayedNumberOfFrames": "INT",
    "DisplayedNumberOfStudies": "INT",
    "DisplayedNumberOfSeries": "INT",
    "DisplayedFieldsUpdatedTimestamp": "DATETIME",
}
_KEYS = {
    "Patients": "UID INTEGER PRIMARY KEY AUTOINCREMENT",
    "Studies": "StudyInstanceUID VARCHAR(64) NOT NULL PRIMARY KEY, PatientsUID INT NOT NULL",
    "Series": "SeriesInstanceUID VARCHAR(64) NOT NULL PRIMARY KEY, StudyInstanceUID VARCHAR(64) NOT NULL",
}


def statements() -> list[str]:
    """Return the statements that make an empty database."""
    made = ["CREATE TABLE SchemaInfo (Version VARCHAR(1024) NOT NULL)", f"INSERT INTO SchemaInfo VALUES ('{VERSION}')"]
    made.append(
        "CREATE TABLE Images (SOPInstanceUID VARCHAR(64) NOT NULL PRIMARY KEY, Filename VARCHAR(1024), "
        "URL VARCHAR(2048), SeriesInstanceUID VARCHAR(64) NOT NULL, InsertTimestamp VARCHAR(20) NOT NULL, "
        "DisplayedFieldsUpdatedTimestamp DATETIME)"
    )
    for table, key in _KEYS.items():
        columns = [_column(name) for name in FIELDS[table]]
        columns.append("InsertTimestamp VARCHAR(20) NOT NULL")
        columns += [_column(name) for name in (*_DISPLAYED[table], "DisplayedFieldsUpdatedTimestamp")]
        columns += ["Connections VARCHAR(2048)"] if table == "Patients" else []
        made.append(f"CREATE TABLE {table} ({key}, {', '.join(columns)})")
    made += [
        "CREATE INDEX ImagesFilenameIndex ON Images (Filename)",
        "CREATE INDEX ImagesSeriesIndex ON Images (SeriesInstanceUID)",
        "CREATE INDEX SeriesStudyIndex ON Series (StudyInstanceUID)",
        "CREATE INDEX StudiesPatientIndex ON Studies (PatientsUID)",
        "CREATE TABLE Directories (Dirname VARCHAR(1024) PRIMARY KEY)",
        "CREATE TABLE ColumnDisplayProperties (TableName VARCHAR(64) NOT NULL, FieldName VARCHAR(64) NOT NULL, "
        "DisplayedName VARCHAR(255), Visibility INT DEFAULT 1, Weight INT, Format VARCHAR(255), "
        "PRIMARY KEY (TableName, FieldName))",
        "CREATE TABLE DisplayedFieldGeneratorRules (Name VARCHAR(64) NOT NULL PRIMARY KEY, Enabled INT DEFAULT 1, "
        "Options VARCHAR(255))",
    ]
    return made


def _column(name: str) -> str:
    return f"{name} {TYPES.get(name, 'VARCHAR(255)')}"


def value(column: str, header: Any, keyword: str) -> Any:
    """Return what CTK writes into a column."""
    found = header.get(keyword)
    if TYPES.get(column) == "INT":
        return int(found[0] if isinstance(found, list) else found) if found else 0
    if found is None:
        return None
    text = "\\".join(map(str, found)) if isinstance(found, pydicom.multival.MultiValue) else str(found)
    if column == "SeriesDate" and len(text) == 8:
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def short(uid: str) -> str:
    """Return the name that CTK makes of a UID in the paths of its copies."""
    return hashlib.md5(uid.encode(), usedforsecurity=False).hexdigest()
