"""3D Slicer's own scene and segmentation files, as its application uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

LABELMAP = "Binary labelmap"
GEOMETRY = "Reference image geometry"


class Scene:
    """A scene with the logic that segmentations need."""

    def __init__(self) -> None:
        self.mrml = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerSegmentationsModuleLogic()
        self.logic.SetMRMLScene(self.mrml)

    def load(self, path: Path) -> Any:
        """Load a segmentation file."""
        node = slicer.vtkMRMLSegmentationNode()
        self.mrml.AddNode(node)
        if self._storage(path).ReadData(node) != 1:
            raise ValueError(f"{path}: Slicer cannot read it")
        return node

    def save(self, node: Any, path: Path, crop: bool = False) -> Path:
        """Save a segmentation as the application does."""
        storage = self._storage(path)
        storage.SetCropToMinimumExtent(crop)
        if storage.WriteData(node) != 1:
            raise ValueError(f"{path}: Slicer cannot write it")
        return path

    def _storage(self, path: Path) -> Any:
        storage = slicer.vtkMRMLSegmentationStorageNode()
        self.mrml.AddNode(storage)
        storage.SetFileName(str(path))
        return storage


def segments(node: Any) -> dict[str, Any]:
    """Return the segments of a node by their names, in order."""
    segmentation = node.GetSegmentation()
    found = [segmentation.GetNthSegment(i) for i in range(segmentation.GetNumberOfSegments())]
    return {segment.GetName(): segment for segment in found}


def identifier(node: Any, name: str) -> str:
    """Return the ID of a segment."""
    return str(node.GetSegmentation().GetSegmentIdBySegment(segments(node)[name]))


def tag(segment: Any, name: str) -> str:
    """Return a tag of a segment."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def places(segment: Any) -> npt.NDArray[np.float64]:
    """Return where the voxels of a segment lie: (n, 3), LPS, mm."""
    image = segment.GetRepresentation(LABELMAP)
    scalars = image.GetPointData().GetScalars()
    if scalars is None or not scalars.GetNumberOfTuples():
        return np.zeros((0, 3))
    extent, matrix = image.GetExtent(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    values = vtk_to_numpy(scalars).reshape([extent[i + 1] - extent[i] + 1 for i in (4, 2, 0)])
    indices = np.argwhere(values == segment.GetLabelValue())[:, ::-1] + [extent[0], extent[2], extent[4]]
    return (indices @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1]


def paint(node: Any, name: str, mask: npt.NDArray[Any], image: sitk.Image, overwrite: bool = True) -> None:
    """Give a segment other voxels (z, y, x) on the grid of an image, as the effects of the Segment Editor do.

    Other segments lose the voxels, or keep them with `overwrite` off: then the segments overlap.
    """
    oriented = slicer.vtkOrientedImageData()
    _fill(oriented, mask.astype(np.uint8))
    oriented.SetImageToWorldMatrix(_ijk_to_ras(image))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if overwrite:
        for other in (identifier(node, other) for other in segments(node) if other != name):
            logic.SetBinaryLabelmapToSegment(_without(node, other, oriented), node, other, logic.MODE_REPLACE)
    else:
        node.GetSegmentation().SeparateSegmentLabelmap(identifier(node, name))
    if not logic.SetBinaryLabelmapToSegment(oriented, node, identifier(node, name), logic.MODE_REPLACE):
        raise ValueError(f"{name}: cannot be painted")


def add_segment(node: Any, name: str, entry: str | None = None, **tags: str) -> Any:
    """Add an empty segment, with the terminology that Slicer gives by default or another."""
    node.GetSegmentation().AddEmptySegment(name, name)
    segment = segments(node)[name]
    for key, value in ({} if entry is None else {"TerminologyEntry": entry}).items() | tags.items():
        segment.SetTag(key, value)
    return segment


def change_geometry(
    scene: Scene, node: Any, image: sitk.Image, oversampling: float = 1.0, isotropic: bool = False
) -> None:
    """Put a segmentation on another grid, as the geometry dialog of the Segment Editor does."""
    volume = slicer.vtkMRMLScalarVolumeNode()
    scene.mrml.AddNode(volume)
    data = vtk.vtkImageData()
    _fill(data, np.zeros(image.GetSize()[::-1], np.uint8))
    volume.SetAndObserveImageData(data)
    volume.SetIJKToRASMatrix(_ijk_to_ras(image))
    logic = slicer.vtkSlicerSegmentationGeometryLogic()
    logic.SetInputSegmentationNode(node)
    logic.SetSourceGeometryNode(volume)
    logic.SetOversamplingFactor(oversampling)
    logic.SetIsotropicSpacing(isotropic)
    if problem := logic.CalculateOutputGeometry():
        raise ValueError(problem)
    logic.SetReferenceImageGeometryInSegmentationNode()
    if not logic.ResampleLabelmapsInSegmentationNode():
        raise ValueError("the segmentation cannot be resampled")


def _fill(data: Any, values: npt.NDArray[np.uint8]) -> None:
    data.SetDimensions(values.shape[::-1])
    data.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(data.GetPointData().GetScalars())[:] = values.ravel()


def _without(node: Any, other: str, taken: Any) -> Any:
    """Return the label map of a segment less the voxels that another one takes."""
    current = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(other, current)
    resampled = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(current, taken, resampled)
    values = vtk_to_numpy(resampled.GetPointData().GetScalars())
    values[vtk_to_numpy(taken.GetPointData().GetScalars()) > 0] = 0
    return resampled


def _ijk_to_ras(image: sitk.Image) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    matrix[:2] *= -1
    result = vtk.vtkMatrix4x4()
    result.DeepCopy([float(value) for value in matrix.ravel()])
    return result
