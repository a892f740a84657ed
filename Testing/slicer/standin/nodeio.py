"""The application's reading and writing of nodes, done by the real MRML storage nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6 import QtCore

from .pythonqt import closed

READERS = {
    "VolumeFile": ("vtkMRMLScalarVolumeNode", "vtkMRMLVolumeArchetypeStorageNode"),
    "SegmentationFile": ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode"),
}
LABEL = ("vtkMRMLLabelMapVolumeNode", "vtkMRMLVolumeArchetypeStorageNode")


@closed
class qSlicerCoreIOManager(QtCore.QObject):
    """Loads volumes and segmentations, saves every storable node."""

    newFileLoaded = QtCore.Signal(object)

    def __init__(self, scene: Any) -> None:
        super().__init__()
        self._scene = scene

    def fileType(self, filename: str) -> str:
        name = str(filename).lower()
        return "SegmentationFile" if name.endswith((".seg.nrrd", ".seg.nhdr")) else "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "VolumeFile"

    def loadNodes(self, fileType: str, properties: dict[str, Any], loaded: Any, messages: Any = None) -> bool:
        if fileType not in READERS:
            raise NotImplementedError(f"the stand-in reads {', '.join(READERS)}, not {fileType}")
        node_class, storage_class = LABEL if properties.get("labelmap") else READERS[fileType]
        path = Path(properties["fileName"])
        name = properties.get("name") or path.name.split(".")[0]
        storage = self._scene.AddNewNodeByClass(storage_class)
        storage.SetFileName(str(path))
        node = self._scene.AddNewNodeByClass(node_class, self._scene.GenerateUniqueName(name))
        node.SetAndObserveStorageNodeID(storage.GetID())
        if not storage.ReadData(node):
            if messages is not None:
                messages.AddMessages(storage.GetUserMessages())
            self._scene.RemoveNode(node)
            self._scene.RemoveNode(storage)
            return False
        node.CreateDefaultDisplayNodes()
        loaded.AddItem(node)
        return True

    def saveNodes(self, _fileType: str, parameters: dict[str, Any], messages: Any = None) -> bool:
        node = self._scene.GetNodeByID(parameters["nodeID"])
        storage = node.GetStorageNode()
        if storage is None:
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
        storage.SetFileName(str(parameters["fileName"]))
        written = bool(storage.WriteData(node))
        if not written and messages is not None:
            messages.AddMessages(storage.GetUserMessages())
        return written
