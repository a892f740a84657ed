"""``DICOMLib.DICOMUtils``: loads series of the database as volumes, like Slicer's plugin for scalar volumes."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pydicom
import slicer_core

__all__ = ["loadSeriesByUID"]

NAMES = slicer_core.vtkMRMLSubjectHierarchyConstants
PATIENT = {
    "PatientName": NAMES.GetDICOMPatientNameAttributeName(),
    "PatientID": NAMES.GetDICOMPatientIDAttributeName(),
    "PatientSex": NAMES.GetDICOMPatientSexAttributeName(),
    "PatientBirthDate": NAMES.GetDICOMPatientBirthDateAttributeName(),
}
STUDY = {
    "StudyDescription": NAMES.GetDICOMStudyDescriptionAttributeName(),
    "StudyInstanceUID": NAMES.GetDICOMStudyInstanceUIDTagName(),
    "StudyID": NAMES.GetDICOMStudyIDTagName(),
    "StudyDate": NAMES.GetDICOMStudyDateAttributeName(),
    "StudyTime": NAMES.GetDICOMStudyTimeAttributeName(),
}


def loadSeriesByUID(seriesUIDs: list[str]) -> list[str]:
    """Load series from the database and return the IDs of the volume nodes."""
    import slicer

    if not isinstance(seriesUIDs, list):
        raise ValueError("SeriesUIDs must contain a list")
    if not seriesUIDs:
        raise ValueError("No series UIDs given")
    if not slicer.dicomDatabase.isOpen:
        raise OSError("DICOM module or database cannot be accessed")
    loaded = []
    for uid in seriesUIDs:
        files = slicer.dicomDatabase.filesForSeries(uid)
        if not files:
            logging.error(f"Failed to load series {uid}: it is not in the database")
            continue
        headers = {file: pydicom.dcmread(file, stop_before_pixels=True) for file in files}
        files.sort(key=lambda file: _along_normal(headers[file]))
        loaded.append(_load(files, headers[files[0]]).GetID())
    return loaded


def _along_normal(header: Any) -> float:
    row, column = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
    return float(np.dot(np.cross(row, column), [float(v) for v in header.ImagePositionPatient]))


def _load(files: list[str], header: Any) -> Any:
    import slicer

    reader = slicer_core.vtkITKArchetypeImageSeriesScalarReader()
    reader.SetArchetype(files[0])
    for file in files:
        reader.AddFileName(file)
    reader.SetSingleFile(0)
    reader.SetOutputScalarTypeToNative()
    reader.SetDesiredCoordinateOrientationToNative()
    reader.SetUseNativeOriginOn()
    reader.SetDICOMImageIOApproachToGDCM()
    reader.Update()
    if reader.GetErrorCode():
        raise RuntimeError(f"ITK does not read the series (error {reader.GetErrorCode()})")
    name = f"{header.get('SeriesNumber', '')}: {header.get('SeriesDescription') or 'Unnamed Series'}"
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    image = reader.GetOutput()
    volume.SetRASToIJKMatrix(reader.GetRasToIjkMatrix())
    image.SetSpacing(1, 1, 1)
    image.SetOrigin(0, 0, 0)
    volume.SetAndObserveImageData(image)
    volume.CreateDefaultDisplayNodes()
    instances = " ".join(slicer.dicomDatabase.instanceForFile(file) for file in files)
    volume.SetAttribute("DICOM.instanceUIDs", instances)
    _into_hierarchy(volume, header, instances)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetActiveVolumeID(volume.GetID())
    slicer.app.applicationLogic().PropagateVolumeSelection(0)
    return volume


def _into_hierarchy(volume: Any, header: Any, instances: str) -> None:
    import slicer

    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    uid = NAMES.GetDICOMUIDName()
    item = tree.GetItemByDataNode(volume)
    tree.SetItemUID(item, uid, str(header.SeriesInstanceUID))
    tree.SetItemUID(item, NAMES.GetDICOMInstanceUIDName(), instances)
    tree.SetItemAttribute(item, NAMES.GetDICOMSeriesModalityAttributeName(), str(header.Modality))
    tree.SetItemAttribute(item, NAMES.GetDICOMSeriesNumberAttributeName(), str(header.get("SeriesNumber", "")))
    patient, study = str(header.PatientID), str(header.StudyInstanceUID)
    new_patient, new_study = not tree.GetItemByUID(uid, patient), not tree.GetItemByUID(uid, study)
    logic = slicer_core.vtkSlicerSubjectHierarchyModuleLogic
    logic.InsertDicomSeriesInHierarchy(tree, patient, study, str(header.SeriesInstanceUID))
    if new_patient:
        _describe(tree, tree.GetItemByUID(uid, patient), header, PATIENT, str(header.PatientName) or "No name")
    if new_study:
        description = header.get("StudyDescription") or "No study description"
        _describe(tree, tree.GetItemByUID(uid, study), header, STUDY, f"{description} ({header.get('StudyDate', '')})")


def _describe(tree: Any, item: int, header: Any, attributes: dict[str, str], name: str) -> None:
    for keyword, attribute in attributes.items():
        tree.SetItemAttribute(item, attribute, str(header.get(keyword) or ""))
    tree.SetItemName(item, name)
