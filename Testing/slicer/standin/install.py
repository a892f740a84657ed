"""Puts ``qt``, ``ctk``, ``slicer`` and their like where the modules under test import them; once in a process."""

from __future__ import annotations

import importlib.util
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import slicer_core
import vtk
from PySide6 import QtCore

from . import (
    application,
    ctkwidgets,
    dicomdatabase,
    dicomvolume,
    modules,
    mrmlwidgets,
    nodecombobox,
    packages,
    parameternode,
    popups,
    pytorch,
    qtmodule,
    scripted,
    uiloader,
)

WIDGETS = (
    mrmlwidgets.qMRMLWidget,
    nodecombobox.qMRMLNodeComboBox,
    modules.qSlicerScriptedLoadableModule,
    modules.qSlicerScriptedLoadableModuleWidget,
    application.qSlicerApplication,
    application.qSlicerMainWindow,
)
CTK = (ctkwidgets.ctkCollapsibleButton, ctkwidgets.ctkMessageBox, dicomdatabase.ctkDICOMDatabase)


@cache
def install() -> Any:
    """Install the modules, start the application, and return ``slicer``."""
    qtmodule.adapt_pyside()
    settings = QtCore.QSettings
    settings.setDefaultFormat(settings.Format.IniFormat)
    qt, ctk, slicer = qtmodule.make_qt(), types.ModuleType("ctk"), types.ModuleType("slicer")
    qt.QUiLoader = uiloader.QUiLoader
    vars(ctk).update({cls.__name__: cls for cls in CTK})
    vars(slicer).update({name: getattr(slicer_core, name) for name in dir(slicer_core) if name.startswith("vtk")})
    vars(slicer).update({cls.__name__: cls for cls in WIDGETS})
    slicer.__path__ = []
    sys.modules.update({"qt": qt, "ctk": ctk, "slicer": slicer, "vtk": vtk})
    for cls in (*CTK[:1], *WIDGETS[:2]):
        uiloader.CUSTOM[cls.__name__] = cls
    slicer.modules = types.ModuleType("slicer.modules")
    slicer.util = _real_util()
    slicer.ScriptedLoadableModule = _submodule("ScriptedLoadableModule", scripted, scripted.__all__)
    slicer.parameterNodeWrapper = _submodule("parameterNodeWrapper", parameternode, parameternode.__all__)
    slicer.packaging = _submodule("packaging", packages, packages.__all__)
    slicer.i18n = types.ModuleType("slicer.i18n")
    slicer.i18n.tr = lambda text: text
    slicer.i18n.translate = lambda _context, text: text
    sys.modules.update({"slicer.modules": slicer.modules, "slicer.i18n": slicer.i18n})
    sys.modules["PyTorchUtils"] = types.ModuleType("PyTorchUtils")
    sys.modules["PyTorchUtils"].PyTorchUtilsLogic = pytorch.PyTorchUtilsLogic  # type: ignore[attr-defined]
    sys.modules["DICOMLib"] = types.ModuleType("DICOMLib")
    sys.modules["DICOMLib"].DICOMUtils = _submodule("DICOMUtils", dicomvolume, dicomvolume.__all__, "DICOMLib")
    slicer.app = application.qSlicerApplication()
    qtmodule.dress(slicer.app)
    slicer.mrmlScene = slicer.app.mrmlScene()
    slicer.app._start()
    popups.install(POPUPS)
    return slicer


POPUPS = popups.Popups()


def _submodule(name: str, source: Any, names: list[str], parent: str = "slicer") -> types.ModuleType:
    module = types.ModuleType(f"{parent}.{name}")
    vars(module).update({each: getattr(source, each) for each in names})
    sys.modules[f"{parent}.{name}"] = module
    return module


def _real_util() -> types.ModuleType:
    """Load slicer-core's own ``slicer/util.py``, without the package around it that mixes it with everything else."""
    path = Path(slicer_core.__file__).parent.parent / "slicer" / "util.py"
    spec = importlib.util.spec_from_file_location("slicer.util", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["slicer.util"] = module
    spec.loader.exec_module(module)
    return module
