"""``qMRMLWidget`` and ``qSlicerWidget``'s kin: a widget that knows its scene and hands it on."""

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
class qSlicerWidget(qMRMLWidget):
    """Slicer's own widget of that kind."""
