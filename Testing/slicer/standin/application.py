"""``slicer.app``: the application with its real MRML application logic, settings and module manager."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer_core
import vtk
from PySide6 import QtCore, QtWidgets

from . import hierarchy, modules
from .mrmlwidgets import qMRMLSegmentEditorWidget
from .nodeio import qSlicerCoreIOManager
from .pythonqt import closed

# In slicer-core the logics register their nodes with the scene, so they come before anything is loaded.
LOGICS = {
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "Markups": "vtkSlicerMarkupsLogic",
}

_PYTHON_SLICER = """#!/bin/sh
case " $* " in
*" devices --events "*)
  if [ ! -e "$0.devices" ]; then
    "{python}" "$@" > "$0.$$" && mv "$0.$$" "$0.devices" || exit
  fi
  exec cat "$0.devices";;
esac
exec "{python}" "$@"
"""


@closed
class qSlicerModuleSelector(QtWidgets.QToolBar):
    """The selector of the main window: records which module the code selected."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._selected = ""
        self._editor = types.SimpleNamespace(editor=qMRMLSegmentEditorWidget())

    selectedModule = property(lambda self: self._selected)

    def selectModule(self, name: str) -> None:
        import slicer

        if slicer.app.moduleManager().module(name) is None:
            raise RuntimeError(f"no module is named {name}")
        self._selected = name
        if name == "SegmentEditor":
            slicer.modules.SegmentEditorWidget = self._editor
        self.moduleSelected.emit(name)


@closed
class qSlicerMainWindow(QtWidgets.QMainWindow):
    """The main window that ``slicer.util.mainWindow()`` finds; it is never shown."""

    def __init__(self) -> None:
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self._selector = qSlicerModuleSelector(self)
        self.addToolBar(self._selector)

    def moduleSelector(self) -> Any:
        return self._selector


@closed
class qSlicerLayoutManager(QtCore.QObject):
    """Makes the nodes of a layout's slice views and tells which of them it displays; the others stay as they are."""

    def __init__(self, scene: Any) -> None:
        super().__init__()
        self._logic = slicer_core.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        self._scene = scene
        self.setLayout(slicer_core.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def setLayout(self, arrangement: int) -> None:
        self._logic.GetLayoutNode().SetViewArrangement(arrangement)
        views, displayed = self._logic.GetViewNodes(), set()
        for index in range(views.GetNumberOfItems()):
            displayed.add(views.GetItemAsObject(index).GetID())
        nodes = self._scene.GetNodesByClass("vtkMRMLSliceNode")
        for index in range(nodes.GetNumberOfItems()):
            node = nodes.GetItemAsObject(index)
            node.SetMappedInLayout(node.GetID() in displayed)


@closed
class qSlicerApplication(QtWidgets.QApplication):
    """The application as Slicer 5.12 has it, with a main window and without views."""

    startupCompleted = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        self._scene = slicer_core.vtkMRMLScene()
        self._logic = slicer_core.vtkSlicerApplicationLogic()
        self._logic.SetMRMLScene(self._scene)
        self._scene.AddNode(slicer_core.vtkMRMLSelectionNode())
        self._manager = modules.qSlicerModuleManager()
        self._io = qSlicerCoreIOManager(self._scene)
        self._temporary = tempfile.mkdtemp(prefix="Slicer-")
        atexit.register(shutil.rmtree, self._temporary, ignore_errors=True)
        self._options = types.SimpleNamespace(noMainWindow=False, testingEnabled=False)
        self._window: Any = None
        self._layouts: Any = None

    majorVersion = property(lambda self: 5)
    minorVersion = property(lambda self: 12)
    revision = property(lambda self: "34000")
    slicerHome = property(lambda self: self._temporary)
    temporaryPath = property(lambda self: self._temporary)
    documentationBaseUrl = property(lambda self: "https://slicer.readthedocs.io/en/5.12/")

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def moduleManager(self) -> Any:
        return self._manager

    def coreIOManager(self) -> Any:
        return self._io

    ioManager = coreIOManager

    def commandOptions(self) -> Any:
        return self._options

    coreCommandOptions = commandOptions

    def testingEnabled(self) -> bool:
        return bool(self._options.testingEnabled)

    def settings(self) -> Any:
        return QtCore.QSettings()

    userSettings = settings

    def startupEnvironment(self) -> Any:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def layoutManager(self) -> Any:
        """Return what lays out the views, whose nodes come with the first call: most tests need none."""
        if self._layouts is None:
            self._layouts = qSlicerLayoutManager(self._scene)
        return self._layouts

    def _close_views(self) -> None:
        if self._layouts is not None:
            self._layouts._logic.SetMRMLScene(None)
            self._layouts = None

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def _start(self) -> None:

        self._window = qSlicerMainWindow()
        self._logic.SetHomeDirectory(self._temporary)
        _python_slicer(Path(self._temporary) / "bin")
        for name, kind in LOGICS.items():
            logic = getattr(slicer_core, kind)()
            logic.SetMRMLApplicationLogic(self._logic)
            with _quiet():
                logic.SetMRMLScene(self._scene)
            self._logic.SetModuleLogic(name, logic)
            self._manager._add(modules.LoadableModule(name, logic))
        for name in ("Data", "DICOM", "SegmentEditor", "PyTorchUtils"):
            self._manager._add(modules.LoadableModule(name, None))
        slicer_core.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        hierarchy.follow(self._scene)


def _python_slicer(folder: Path) -> None:
    """Put Slicer's Python where Slicer has it; which devices there are it finds out once, for torch is imported."""
    folder.mkdir()
    script = folder / "PythonSlicer"
    script.write_text(_PYTHON_SLICER.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the logics quiet about Slicer's share folder (terminologies, colour tables): slicer-core has none."""
    before = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(before)
