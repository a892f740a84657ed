"""``slicer.modules``, the module manager, and the module objects the application makes of Python files."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from .mrmlwidgets import qMRMLWidget
from .pythonqt import closed

DESCRIPTION = {
    "title": "",
    "categories": (),
    "dependencies": (),
    "contributors": (),
    "helpText": "",
    "acknowledgementText": "",
    "icon": None,
    "index": -1,
    "hidden": False,
    "widgetRepresentationCreationEnabled": True,
    "associatedNodeTypes": (),
}


def _description(name: str, default: Any) -> property:
    def get(self: Any) -> Any:
        return self._values.get(name, default)

    def put(self: Any, value: Any) -> None:
        self._values[name] = value

    return property(get, put)


@closed
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """What a module's Python class gets as ``parent``."""

    for _name, _default in DESCRIPTION.items():
        locals()[_name] = _description(_name, _default)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._values: dict[str, Any] = {}
        self._path = str(path)
        self._widget: Any = None
        self.objectName = path.stem

    name = property(lambda self: self.objectName)
    path = property(lambda self: self._path)

    def widgetRepresentation(self) -> Any:
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        return qSlicerScriptedLoadableModuleWidget(self)


@closed
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The ``parent`` of a module's Python widget, which it makes, sets up, enters and exits."""

    def __init__(self, module: Any) -> None:
        import slicer

        super().__init__()
        self._module, self._python, self._entered = module, None, False
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        self.reload()

    def self(self) -> Any:
        return self._python

    def reload(self) -> None:
        import slicer

        cls = getattr(sys.modules[self._module.name], f"{self._module.name}Widget")
        self._python = cls(self)
        setattr(slicer.modules, f"{self._module.name}Widget", self._python)
        self._python.setup()
        if self._entered:
            self.enter()

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()


class LoadableModule:
    """A C++ module of Slicer: its real logic from slicer-core, no widget here."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self._logic = name, logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        raise NotImplementedError(f"the widget of Slicer's module {self.name} is not in this stand-in")


@closed
class qSlicerModuleManager(QtCore.QObject):
    """Knows the modules; tells when one goes."""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleUnloaded = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return sorted(self._modules)

    def factoryManager(self) -> Any:
        return types.SimpleNamespace(loadedModuleNames=self.modulesNames)

    def _add(self, module: Any) -> None:
        import slicer

        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)


def load(manager: Any, path: Path) -> Any:
    """Load a scripted module from its file, as ``--additional-module-paths`` does, and return its module object."""
    import slicer

    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    module = qSlicerScriptedLoadableModule(path)
    instance = getattr(source, path.stem)(module)
    setattr(slicer.modules, f"{path.stem}Instance", instance)
    manager._add(module)
    if hasattr(instance, "setup"):
        instance.setup()
    manager.moduleLoaded.emit(path.stem)
    return module


def unload(manager: Any, name: str) -> None:
    """Unload a scripted module as the application does when it quits."""
    import slicer

    manager.moduleAboutToBeUnloaded.emit(name)
    module = manager._modules.pop(name)
    if module._widget is not None:
        module._widget.deleteLater()
        module._widget = None
    for attribute in (name.lower(), f"{name}Widget", f"{name}Instance"):
        if hasattr(slicer.modules, attribute):
            delattr(slicer.modules, attribute)
    folder = str(Path(module.path).parent)
    if folder in sys.path:
        sys.path.remove(folder)
    sys.modules.pop(name, None)
    manager.moduleUnloaded.emit(name)
