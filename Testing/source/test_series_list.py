"""The list of series of Slicer's database, in the tables that CTK makes."""

import sqlite3

import pytest
from tools import nativedl

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import database
from NativeDLLib.source.database import list_series, series_files
from Testing.slicer.standin import dicomschema


class Database:
    """A ``ctkDICOM.sql`` to which patients, studies and series are added with what is to be in their rows."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "ctkDICOM.sql"
        self.connection = sqlite3.connect(self.file)
        self.connection.executescript(";\n".join(dicomschema.statements()))

    def insert(self, table, **values):
        values |= {"InsertTimestamp": ""}
        places = ", ".join("?" * len(values))
        self.connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))
        self.connection.commit()

    def series(self, uid, study="1.1", instances=2, **values):
        self.insert("Series", **{"SeriesInstanceUID": uid, "StudyInstanceUID": study, "Modality": "CT"} | values)
        for index in range(instances):
            name = f"dicom/{uid}/{index}.dcm"
            self.insert("Images", SOPInstanceUID=f"{uid}.{index}", SeriesInstanceUID=uid, Filename=name)

    def study(self, uid="1.1", patient=1, **values):
        self.insert("Studies", StudyInstanceUID=uid, PatientsUID=patient, **values)


@pytest.fixture
def ctk(tmp_path):
    made = Database(tmp_path)
    made.insert("Patients", PatientsName="Doe^Jane", PatientID="P1")
    yield made
    made.connection.close()


def test_the_real_database_is_listed(real_data):
    rows = list_series(real_data / "slicer_dicom_database", ("CT",))

    first, second = ((r["PatientName"], r["StudyDate"], r["instances"]) for r in rows)
    assert first == ("Example^Abdomen", "20221208", 20)
    assert second == ("JANCT000", "20030417", 3)


def test_a_series_is_told_with_its_patient_and_study(ctk):
    ctk.study(StudyDate="20260102", StudyDescription="Abdomen")
    ctk.series("1.2", SeriesNumber=3, SeriesDescription="venous", instances=4)

    assert list_series(ctk.folder) == [
        {
            "PatientName": "Doe^Jane", "PatientID": "P1", "StudyDate": "20260102", "StudyDescription": "Abdomen",
            "StudyInstanceUID": "1.1", "SeriesNumber": "3", "SeriesDescription": "venous", "Modality": "CT",
            "SeriesInstanceUID": "1.2", "instances": 4,
        }
    ]  # fmt: skip


def test_what_is_not_there_is_empty(ctk):
    ctk.insert("Patients", PatientsName=None, PatientID=None)
    ctk.study(patient=2)
    ctk.series("1.2", instances=0, Modality=None)

    (row,) = list_series(ctk.folder)

    assert {key for key, value in row.items() if value == ""} == {
        "PatientName", "PatientID", "StudyDate", "StudyDescription", "SeriesNumber", "SeriesDescription", "Modality",
    }  # fmt: skip
    assert row["instances"] == 0


def test_a_series_that_has_lost_its_study_or_patient_is_still_there(ctk):
    ctk.series("1.2", study="gone")
    ctk.study("1.9", patient=99)
    ctk.series("1.3", study="1.9")

    assert {row["SeriesInstanceUID"] for row in list_series(ctk.folder)} == {"1.2", "1.3"}


def test_the_newest_study_comes_first_however_its_date_is_written(ctk):
    for uid, date in (("1", "20240101"), ("2", "2025-06-30"), ("3", None), ("4", "20260101"), ("5", "2023-01-01")):
        ctk.study(uid, StudyDate=date)
        ctk.series(f"{uid}.1", study=uid)

    assert [row["StudyInstanceUID"] for row in list_series(ctk.folder)] == ["4", "2", "1", "5", "3"]


def test_the_series_of_a_study_come_by_their_number(ctk):
    ctk.study()
    for number in (10, 2, 1):
        ctk.series(f"1.{number}", SeriesNumber=number)

    assert [row["SeriesNumber"] for row in list_series(ctk.folder)] == ["1", "2", "10"]


def test_only_the_modalities_asked_for_are_listed(ctk):
    ctk.study()
    for modality in ("CT", "MR", "SEG", "x' OR '1'='1"):
        ctk.series(f"uid {modality}", Modality=modality)

    assert [row["Modality"] for row in list_series(ctk.folder, ("SEG", "MR"))] == ["MR", "SEG"]
    assert len(list_series(ctk.folder)) == 4


def test_a_text_in_a_wrong_character_set_hides_no_series(ctk):
    ctk.study()
    ctk.series("1.2", SeriesDescription="first")
    ctk.connection.execute("UPDATE Series SET SeriesDescription = CAST(x'4de97a' AS TEXT)")
    ctk.connection.commit()

    assert [row["SeriesDescription"] for row in list_series(ctk.folder)] == ["M\ufffdz"]


def test_what_is_no_database_is_named(tmp_path):
    (tmp_path / "ctkDICOM.sql").write_text("no database")

    with pytest.raises(InputError, match=f"^{tmp_path / 'ctkDICOM.sql'}: is not a DICOM database of Slicer"):
        list_series(tmp_path)


def test_a_database_that_slicer_is_writing_to_is_called_busy(ctk, monkeypatch):
    monkeypatch.setattr(database, "_PATIENCE_S", 0.05)
    ctk.connection.execute("BEGIN EXCLUSIVE")

    for read in (list_series, lambda folder: series_files(folder, "1.2")):
        with pytest.raises(InputError, match=r"ctkDICOM\.sql: is being written to by another program; try again$"):
            read(ctk.folder)


@pytest.fixture
def steps(monkeypatch):
    """Count what databases do that are opened from now on: one for a thousand steps of SQLite's machine."""
    done, connect = [], sqlite3.connect

    def counted(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.set_progress_handler(lambda: done.append(1), 1000)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counted)
    return done


def test_to_list_ten_thousand_series_each_of_their_instances_is_looked_at_once(ctk, steps, capsys):
    add = "INSERT INTO Studies (StudyInstanceUID, PatientsUID, InsertTimestamp) VALUES (?, 1, '')"
    ctk.connection.executemany(add, ((str(index),) for index in range(1000)))
    add = "INSERT INTO Series (SeriesInstanceUID, StudyInstanceUID, Modality, InsertTimestamp) VALUES (?, ?, 'CT', '')"
    ctk.connection.executemany(add, ((f"1.{index}", str(index % 1000)) for index in range(10_000)))
    add = "INSERT INTO Images (SOPInstanceUID, SeriesInstanceUID, InsertTimestamp) VALUES (?, ?, '')"
    ctk.connection.executemany(add, ((f"2.{index}", f"1.{index % 10_000}") for index in range(100_000)))
    # As in a database of an older Slicer.
    ctk.connection.execute("DROP INDEX ImagesSeriesIndex")
    ctk.connection.commit()

    assert nativedl("database", ctk.file, "--events") == 0

    # Some steps for each row; each series against each instance would be a thousand million.
    assert 0 < len(steps) < 10_000
    assert capsys.readouterr().out.count('"uid"') == 10_000
