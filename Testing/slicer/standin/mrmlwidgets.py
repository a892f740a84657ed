"""``qMRMLWidget`` and its kin: a widget that knows its scene and hands it on."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .pythonqt import closed


@closed
class qMRMLWidget(QtWidgets.QWidget):
    """The root of a module's .ui file."""

    mrmlSceneChanged = QtCore.Signal(object)
    SIGNALS = {"mrmlSceneChanged": ("vtkMRMLScene*",)}  # noqa: RUF012

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@closed
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """The Segment Editor, as far as what it edits; nothing is painted here."""

    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    SIGNALS = {  # noqa: RUF012
        "segmentationNodeChanged": ("vtkMRMLSegmentationNode*",),
        "sourceVolumeNodeChanged": ("vtkMRMLVolumeNode*",),
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._segmentation: Any = None
        self._volume: Any = None

    def segmentationNode(self) -> Any:
        return self._segmentation

    def setSegmentationNode(self, node: Any) -> None:
        if not (node is None or node.IsA("vtkMRMLSegmentationNode")):
            raise ValueError(f"setSegmentationNode takes a vtkMRMLSegmentationNode, not {node.GetClassName()}")
        self._segmentation = node
        self.segmentationNodeChanged.emit(node)

    def sourceVolumeNode(self) -> Any:
        return self._volume

    def setSourceVolumeNode(self, node: Any) -> None:
        if not (node is None or node.IsA("vtkMRMLVolumeNode")):
            raise ValueError(f"setSourceVolumeNode takes a vtkMRMLVolumeNode, not {node.GetClassName()}")
        self._volume = node
        self.sourceVolumeNodeChanged.emit(node)
