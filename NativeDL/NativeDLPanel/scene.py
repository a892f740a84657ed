"""Between Slicer's scene and database and the files of a job."""

import json
from pathlib import Path

import numpy
import qt
import slicer
import vtk

from NativeDLLib.core.files import atomic_path
from NativeDLLib.panel import wording

REVIEW, RESULT = "NativeDL.Review", "NativeDL.Result"
PENDING, ACCEPTED, REJECTED = "pending", "accepted", "rejected"


def openFile(path):
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))


def database():
    """Slicer's DICOM database, or None where none is open, or not yet while Slicer starts."""
    found = getattr(slicer, "dicomDatabase", None)
    return found if found is not None and found.isOpen else None


def patientName(series):
    db = database()
    return wording.shown_name(db.nameForPatient(db.patientForStudy(db.studyForSeries(series)))) if db and series else ""


def dicomFiles(volume):
    """The files that a volume was loaded from; none where it is not from DICOM or they have left the database."""
    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    files = [database().fileForInstance(uid) for uid in uids] if database() else []
    return files if all(file and Path(file).is_file() for file in files) else []


def geometry(volume):
    """Size and matrix of a volume as the command ``inspect`` takes them."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    elements = slicer.util.arrayFromVTKMatrix(matrix).ravel().tolist()
    known = bool(volume.GetAttribute("DICOM.instanceUIDs"))
    return json.dumps({"size": volume.GetImageData().GetDimensions(), "ijk_to_ras": elements, "from_dicom": known})


def isRegularized(volume):
    """Whether Slicer resampled the volume at loading, because its slices are tilted or unevenly spaced."""
    setting = qt.QSettings().value("DICOM/ScalarVolume/AcquisitionGeometryRegularization")
    return setting == "hardenTransform" and volume is not None and volume.GetParentTransformNode() is None


def save(node, path):
    """Write a volume or segmentation as it is now, without making the file the node's own."""
    isVolume = node.IsA("vtkMRMLScalarVolumeNode")
    storage = slicer.vtkMRMLNRRDStorageNode() if isVolume else slicer.vtkMRMLSegmentationStorageNode()
    storage.SetScene(slicer.mrmlScene)
    storage.SetUseCompression(0)
    with atomic_path(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(node):
            raise RuntimeError(f"{path} could not be written; is the disk full?")


def volumeOfSeries(uid, instances=()):
    """The volume of a series, or of some images of it, which Slicer's own reader loads where it is not in the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if _isOf(node, instances):
            return node
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByUID("DICOM", uid) if uid else 0
    nodes = [hierarchy.GetItemDataNode(item)] if item else []
    if uid and not nodes and database() and database().filesForSeries(uid):
        from DICOMLib import DICOMUtils

        nodes = [slicer.mrmlScene.GetNodeByID(nodeId) for nodeId in DICOMUtils.loadSeriesByUID([uid])]
    volumes = [node for node in nodes if node is not None and node.IsA("vtkMRMLScalarVolumeNode")]
    return next((node for node in volumes if _isOf(node, instances)), volumes[0] if volumes else None)


def _isOf(node, instances):
    return not set((node.GetAttribute("DICOM.instanceUIDs") or "-").split()) - set(instances)


def loadResult(path, name, volume):
    """Load a segmentation over its volume, below the volume's study."""
    node = slicer.util.loadSegmentation(str(path), {"name": name})
    node.CreateDefaultDisplayNodes()
    if volume is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        hierarchy.CreateItem(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume)), node)
        slicer.util.setSliceViewerLayers(background=volume)
    return node


def volumeMl(node, segmentId):
    labels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segmentId)
    segment = node.GetSegmentation().GetSegment(segmentId)
    x, y, z = segment.GetRepresentation("Binary labelmap").GetSpacing()
    return numpy.count_nonzero(labels == segment.GetLabelValue()) * x * y * z / 1000


def review(segment):
    """Whether a segment was accepted, rejected, or neither yet."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(REVIEW, value) else PENDING


def shownPlace(volume):
    """The place of the slice of a volume that a displayed view shows, as ``regions --slice`` takes it, or None."""
    toWorld, toVolume = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(toWorld)
    normal = slicer.util.arrayFromVTKMatrix(toWorld)[:3, 2]
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(None, volume.GetParentTransformNode(), toVolume)
    fromWorld = slicer.util.arrayFromVTKMatrix(toVolume)
    for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = fromWorld @ slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        # The node of a view stays when another layout hides it. A more oblique view shows no slice of the images.
        if view.IsMappedInLayout() and abs(matrix[:3, 2] @ normal) > 0.99:
            return ",".join(f"{value:.4f}" for value in numpy.round(matrix[:3, 3] * (-1, -1, 1), 4) + 0.0)
    return None


def addCurve(name, points, result):
    """A closed line over a result, of points (n, 3) in mm, LPS; it cannot be dragged by accident."""
    curve = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", name)
    slicer.util.updateMarkupsControlPointsFromArray(curve, points * (-1, -1, 1))
    curve.SetCurveTypeToLinear()
    curve.SetLocked(True)
    curve.SetAndObserveTransformNodeID(result.GetTransformNodeID())
    curve.CreateDefaultDisplayNodes()
    curve.GetDisplayNode().SetPointLabelsVisibility(False)
    curve.GetDisplayNode().SetPropertiesLabelVisibility(False)
    curve.GetDisplayNode().SetGlyphScale(0.5)
    return curve
