"""The DICOM database and the loading of its series, against the project's own reading."""

import shutil
import sqlite3
from pathlib import Path

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from NativeDLLib.source import Series
from NativeDLLib.source.database import list_series, series_files


def fill(app, folder, **options):
    files = factories.ct_series(folder, **options)
    for file in files:
        app.slicer.dicomDatabase.insert(str(file), True, False)
    return str(pydicom.dcmread(files[0]).SeriesInstanceUID)


def test_a_series_is_told_once_and_before_its_instances(slicer_app, tmp_path):
    database, told = slicer_app.slicer.dicomDatabase, []
    database.patientAdded.connect(lambda *row: told.append("patient"))
    database.seriesAdded.connect(told.append)
    database.connect("instanceAdded(QString)", lambda uid: told.append("instance"))

    uid = fill(slicer_app, tmp_path / "ct")

    assert told == ["patient", uid] + ["instance"] * 6


def test_what_was_imported_is_read_by_the_project(slicer_app, tmp_path):
    database = slicer_app.slicer.dicomDatabase
    uid = fill(slicer_app, tmp_path / "ct")

    files = series_files(Path(database.databaseFilename), uid)

    assert sorted(map(str, files)) == sorted(database.filesForSeries(uid))
    assert all(file.is_relative_to(database.databaseDirectory) for file in files)
    assert Series.read(files).grid.size == (40, 32, 6)


def test_the_tables_have_the_columns_of_a_real_database(slicer_app, real_data):
    def columns(path):
        with sqlite3.connect(f"{Path(path).as_uri()}?mode=ro&immutable=1", uri=True) as sql:
            tables = [row[0] for row in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: [row[1] for row in sql.execute(f"PRAGMA table_info({table})")] for table in tables}

    real = columns(real_data / "slicer_dicom_database" / "ctkDICOM.sql")
    assert columns(slicer_app.slicer.dicomDatabase.databaseFilename) == real


def test_copies_are_named_as_in_a_real_database(slicer_app, real_data):
    real = real_data / "slicer_dicom_database"
    with sqlite3.connect(f"{(real / 'ctkDICOM.sql').as_uri()}?mode=ro&immutable=1", uri=True) as sql:
        names = [row[0] for row in sql.execute("SELECT Filename FROM Images ORDER BY Filename LIMIT 3")]
    database = slicer_app.slicer.dicomDatabase

    for name in names:
        database.insert(str(real / name), True, False)

    assert sorted(str(Path(file).relative_to(database.databaseDirectory)) for file in database.allFiles()) == names


def test_a_database_that_slicer_made_is_opened(slicer_app, real_data, tmp_path):
    real = shutil.copytree(real_data / "slicer_dicom_database", tmp_path / "real", copy_function=shutil.copyfile)
    database = slicer_app.slicer.dicomDatabase

    database.openDatabase(str(real / "ctkDICOM.sql"))

    assert database.schemaVersionLoaded() == database.schemaVersion() == "0.8.1"
    assert len(list_series(Path(database.databaseFilename))) == 4
    assert all(Path(file).is_file() for file in database.allFiles())


def test_an_element_of_a_file_is_told_as_text(slicer_app, tmp_path):
    database = slicer_app.slicer.dicomDatabase
    (file, *_) = database.filesForSeries(fill(slicer_app, tmp_path / "ct"))

    assert [database.fileValue(file, tag) for tag in ("0008,0060", "0028,0030", "0018,9999")] == ["CT", "1.0\\1.0", ""]


def test_an_instance_without_a_study_is_not_taken(slicer_app, tmp_path):
    def strip(dataset, index):
        dataset.StudyInstanceUID = dataset.PatientID = dataset.PatientName = ""

    fill(slicer_app, tmp_path / "ct", edit=strip)

    assert slicer_app.slicer.dicomDatabase.allFiles() == []


def test_a_patient_without_name_and_id_gets_the_study_uid(slicer_app, tmp_path):
    def strip(dataset, index):
        dataset.PatientID = dataset.PatientName = ""

    uid = fill(slicer_app, tmp_path / "ct", edit=strip)

    database = slicer_app.slicer.dicomDatabase
    (row,) = list_series(Path(database.databaseFilename))
    study = database.studyForSeries(uid)
    assert row["PatientName"] == row["PatientID"] == database.nameForPatient(database.patientForStudy(study)) == study


def test_an_instance_with_a_known_uid_does_not_replace_the_copy(slicer_app, tmp_path):
    database, added = slicer_app.slicer.dicomDatabase, []
    uid = fill(slicer_app, tmp_path / "ct")
    instance = database.instancesForSeries(uid)[0]
    other = pydicom.dcmread(database.fileForInstance(instance))
    other.SeriesDescription = "changed"
    factories.save(other, tmp_path / "other.dcm")
    database.instanceAdded.connect(added.append)

    database.insert(str(tmp_path / "other.dcm"))

    assert added == [instance]
    assert len(database.filesForSeries(uid)) == 6
    assert database.fileValue(database.fileForInstance(instance), "0008,103E") == "bright block"


def test_a_series_that_is_removed_is_gone_with_its_copies(slicer_app, tmp_path):
    database, removed = slicer_app.slicer.dicomDatabase, []
    uid = fill(slicer_app, tmp_path / "ct")
    files = database.filesForSeries(uid)
    database.seriesRemoved.connect(removed.append)

    assert database.removeSeries(uid)

    assert removed == [uid]
    assert (list_series(Path(database.databaseFilename)), database.allFiles()) == ([], [])
    assert not any(Path(file).exists() for file in files)


def test_a_path_object_is_refused_as_qt_refuses_it(slicer_app, tmp_path):
    with pytest.raises(ValueError, match="takes a str"):
        slicer_app.slicer.dicomDatabase.insert(tmp_path)


@pytest.mark.parametrize("axes", [factories.AXIAL, factories.CORONAL, factories.SAGITTAL])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_loaded_series_lies_where_itk_puts_it(slicer_app, tmp_path, axes, backwards):
    import vtk
    from DICOMLib import DICOMUtils

    slicer = slicer_app.slicer
    uid = fill(slicer_app, tmp_path / "ct", axes=axes, backwards=backwards, spacing=(0.7, 0.9, 2.5))

    (node_id,) = DICOMUtils.loadSeriesByUID([uid])

    volume = slicer.mrmlScene.GetNodeByID(node_id)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "ct")))
    ijk_to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(ijk_to_ras)
    for index in ((0, 0, 0), (5, 3, 2)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(ijk_to_ras.MultiplyPoint((*index, 1))[:3], (-x, -y, z), atol=1e-3)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), sitk.GetArrayFromImage(image))


@pytest.mark.parametrize(("given", "error"), [("1.2", ValueError), ([], ValueError)])
def test_what_is_no_list_of_series_is_refused(slicer_app, given, error):
    from DICOMLib import DICOMUtils

    with pytest.raises(error):
        DICOMUtils.loadSeriesByUID(given)


def test_a_loaded_series_is_known_by_its_uids(slicer_app, tmp_path):
    from DICOMLib import DICOMUtils

    slicer = slicer_app.slicer
    uid = fill(slicer_app, tmp_path / "ct")
    (node_id,) = DICOMUtils.loadSeriesByUID([uid])

    volume = slicer.mrmlScene.GetNodeByID(node_id)
    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = tree.GetItemByDataNode(volume)
    study = tree.GetItemParent(item)
    patient = tree.GetItemParent(study)

    assert volume.GetName() == "3: bright block"
    assert sorted(volume.GetAttribute("DICOM.instanceUIDs").split()) == sorted(
        slicer.dicomDatabase.instancesForSeries(uid)
    )
    assert tree.GetItemUID(item, "DICOM") == uid
    assert tree.GetItemUID(study, "DICOM") == slicer.dicomDatabase.studyForSeries(uid)
    assert tree.GetItemAttribute(patient, "DICOM.PatientID") == "P1"
    assert tree.GetItemLevel(study) == "Study"
    assert slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID() == node_id
