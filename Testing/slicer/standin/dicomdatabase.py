"""``slicer.dicomDatabase``: CTK's methods and signals over a real ``ctkDICOM.sql``."""

from __future__ import annotations

import datetime
import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pydicom
from PySide6 import QtCore

from . import dicomschema
from .pythonqt import closed


@closed
class ctkDICOMDatabase(QtCore.QObject):
    """The database; insertion refuses, copies and signals in CTK's order: a series is added with its first instance."""

    patientAdded = QtCore.Signal(int, str, str, str)
    studyAdded = QtCore.Signal(str)
    seriesAdded = QtCore.Signal(str)
    instanceAdded = QtCore.Signal(str)
    seriesRemoved = QtCore.Signal(str)
    opened = QtCore.Signal()
    closed = QtCore.Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._file = ""
        self._sql: sqlite3.Connection | None = None
        self._header: dict[str, str] = {}

    isOpen = property(lambda self: self._sql is not None)
    databaseFilename = property(lambda self: self._file)
    databaseDirectory = property(lambda self: str(Path(self._file).parent) if self._file else "")

    def openDatabase(self, databaseFile: str, connectionName: str = "", /) -> bool:
        new = not Path(databaseFile).exists()
        # No cache of statements and no transaction is left open, so that others can read at any time.
        self._sql = sqlite3.connect(databaseFile, isolation_level=None)
        self._file = str(databaseFile)
        self._sql.execute("PRAGMA synchronous = OFF")
        if new:
            self._sql.executescript(";\n".join(["BEGIN", *dicomschema.statements(), "COMMIT;"]))
        self.opened.emit()
        return True

    def closeDatabase(self) -> None:
        if self._sql is not None:
            self._sql.close()
            self._sql = None
            self.closed.emit()

    def schemaVersion(self) -> str:
        return dicomschema.VERSION

    def schemaVersionLoaded(self) -> str:
        return self._text("SELECT Version FROM SchemaInfo")

    def seriesForStudy(self, studyUID: str, /) -> list[str]:
        return self._column("SELECT SeriesInstanceUID FROM Series WHERE StudyInstanceUID = ?", studyUID)

    def instancesForSeries(self, seriesUID: str, hits: int = -1, /) -> list[str]:
        return self._column(f"SELECT SOPInstanceUID FROM Images WHERE SeriesInstanceUID = ? LIMIT {hits}", seriesUID)

    def filesForSeries(self, seriesUID: str, hits: int = -1, /) -> list[str]:
        names = self._column(f"SELECT Filename FROM Images WHERE SeriesInstanceUID = ? LIMIT {hits}", seriesUID)
        return [self._absolute(name) for name in names]

    def studyForSeries(self, seriesUID: str, /) -> str:
        return self._text("SELECT StudyInstanceUID FROM Series WHERE SeriesInstanceUID = ?", seriesUID)

    def patientForStudy(self, studyUID: str, /) -> str:
        return self._text("SELECT PatientsUID FROM Studies WHERE StudyInstanceUID = ?", studyUID)

    def nameForPatient(self, patientUID: str, /) -> str:
        return self._text("SELECT PatientsName FROM Patients WHERE UID = ?", patientUID)

    def fileForInstance(self, sopInstanceUID: str, /) -> str:
        name = self._text("SELECT Filename FROM Images WHERE SOPInstanceUID = ?", sopInstanceUID)
        return self._absolute(name) if name else ""

    def instanceForFile(self, fileName: str, /) -> str:
        path = Path(fileName)
        stored = path.relative_to(self.databaseDirectory) if path.is_relative_to(self.databaseDirectory) else path
        return self._text("SELECT SOPInstanceUID FROM Images WHERE Filename = ?", str(stored))

    def allFiles(self) -> list[str]:
        return [self._absolute(name) for name in self._column("SELECT Filename FROM Images")]

    def fileValue(self, fileName: str, *tag: Any) -> str:
        """Return an element as text, by ``"gggg,eeee"`` or by two numbers; empty where it is missing."""
        group, element = (int(part, 16) for part in tag[0].split(",")) if len(tag) == 1 else tag
        found = pydicom.dcmread(fileName, stop_before_pixels=True).get((group, element))
        if found is None or found.value is None or found.VR == "SQ":
            return ""
        values = found.value if isinstance(found.value, pydicom.multival.MultiValue) else [found.value]
        return "\\".join(str(value) for value in values)

    def insert(
        self,
        filePath: str,
        storeFile: bool = True,
        generateThumbnail: bool = True,
        createHierarchy: bool = True,
        destinationDirectoryName: str = "",
        /,
    ) -> None:
        if not isinstance(filePath, str):
            raise ValueError(f"insert takes a str, not {type(filePath).__name__}")
        header = pydicom.dcmread(filePath, stop_before_pixels=True)
        study, series, instance = (
            str(header.get(k) or "") for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        )
        patient_id = str(header.get("PatientID") or "") or study
        name = str(header.get("PatientName") or "") or patient_id
        if not study:
            logging.error("Required information (patient name, patient ID, study instance UID) is missing from dataset")
            return
        known = self._text("SELECT Filename FROM Images WHERE SOPInstanceUID = ?", instance)
        if known == filePath:
            return
        if known:  # CTK enters it anew, and keeps the copy that it has
            assert self._sql is not None
            self._sql.execute("DELETE FROM Images WHERE SOPInstanceUID = ?", (instance,))
        stored = filePath
        if storeFile:
            short = dicomschema.short
            stored = f"dicom/{short(study)[:8]}/{short(series)[:8]}/{short(instance)}.dcm"
            target = Path(self.databaseDirectory) / stored
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(filePath, target)
        self._insert_patient_study_series(header, patient_id, name, study, series)
        row = (instance, stored, "", series, _now())
        assert self._sql is not None
        columns = "SOPInstanceUID, Filename, URL, SeriesInstanceUID, InsertTimestamp"
        self._sql.execute(f"INSERT INTO Images ({columns}) VALUES (?, ?, ?, ?, ?)", row)
        self.instanceAdded.emit(instance)

    def removeSeries(self, seriesInstanceUID: str, clearCachedTags: bool = False, cleanup: bool = True, /) -> bool:
        copies = [f for f in self.filesForSeries(seriesInstanceUID) if Path(f).is_relative_to(self.databaseDirectory)]
        assert self._sql is not None
        self._sql.execute("DELETE FROM Images WHERE SeriesInstanceUID = ?", (seriesInstanceUID,))
        self._sql.execute("DELETE FROM Series WHERE SeriesInstanceUID = ?", (seriesInstanceUID,))
        for copy in copies:
            Path(copy).unlink(missing_ok=True)
        if cleanup:
            self._sql.execute("DELETE FROM Studies WHERE StudyInstanceUID NOT IN (SELECT StudyInstanceUID FROM Series)")
            self._sql.execute("DELETE FROM Patients WHERE UID NOT IN (SELECT PatientsUID FROM Studies)")
        self.seriesRemoved.emit(seriesInstanceUID)
        return True

    def _insert_patient_study_series(self, header: Any, patient_id: str, name: str, study: str, series: str) -> None:
        known = "SELECT UID FROM Patients WHERE PatientID = ? AND PatientsName = ?"
        patient = self._text(known, patient_id, name)
        if not patient:
            self._insert("Patients", header, {"PatientID": patient_id, "PatientsName": name})
            patient = self._text(known, patient_id, name)
            self.patientAdded.emit(int(patient), patient_id, name, str(header.get("PatientBirthDate") or ""))
        if not self._text("SELECT 1 FROM Studies WHERE StudyInstanceUID = ?", study):
            self._insert("Studies", header, {"StudyInstanceUID": study, "PatientsUID": int(patient)})
            self.studyAdded.emit(study)
        if not self._text("SELECT 1 FROM Series WHERE SeriesInstanceUID = ?", series):
            self._insert("Series", header, {"SeriesInstanceUID": series, "StudyInstanceUID": study})
            self.seriesAdded.emit(series)

    def _insert(self, table: str, header: Any, keys: dict[str, Any]) -> None:
        values = {
            column: dicomschema.value(column, header, keyword) for column, keyword in dicomschema.FIELDS[table].items()
        }
        values |= keys | {"InsertTimestamp": _now()}
        assert self._sql is not None
        places = ", ".join("?" * len(values))
        self._sql.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))

    def _column(self, query: str, *values: Any) -> list[str]:
        assert self._sql is not None, "the database is not open"
        return [str(row[0]) for row in self._sql.execute(query, values)]

    def _text(self, query: str, *values: Any) -> str:
        assert self._sql is not None, "the database is not open"
        row = self._sql.execute(query, values).fetchone()
        return "" if row is None or row[0] is None else str(row[0])

    def _absolute(self, name: str) -> str:
        return str(Path(self.databaseDirectory) / name)


class DICOM:
    """Slicer's own DICOM module: it opens the database once start-up is complete, or when a module asks before."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._database = folder, ctkDICOMDatabase()
        self._connection = QtCore.QCoreApplication.instance().startupCompleted.connect(
            self.performPostModuleDiscoveryTasks
        )

    def performPostModuleDiscoveryTasks(self) -> None:
        import slicer

        if not hasattr(slicer, "dicomDatabase"):
            slicer.dicomDatabase = self._database
            self._folder.mkdir()
            self._database.openDatabase(str(self._folder / "ctkDICOM.sql"))

    def _quit(self) -> None:
        import slicer

        QtCore.QObject.disconnect(self._connection)
        self._database.closeDatabase()
        vars(slicer).pop("dicomDatabase", None)


def _now() -> str:
    return datetime.datetime.now().isoformat(timespec="milliseconds")
