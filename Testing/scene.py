"""3D Slicer's own scene and segmentation files, as its application uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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
