"""The modules ``qt`` and ``ctk``, and the one application object."""

from __future__ import annotations

import os
import types
from functools import cache
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "1")

from PySide6 import QtCore, QtGui, QtNetwork, QtWidgets

from . import pythonqt


@cache
def adapt_pyside() -> tuple[Any, ...]:
    """Make PySide's classes PythonQt's, once in a process, and return them, bases first."""
    classes = {
        value
        for module in (QtCore, QtGui, QtNetwork, QtWidgets)
        for value in (getattr(module, name) for name in dir(module) if name.startswith("Q"))
        if isinstance(value, type(QtCore.QObject))
    }
    ordered = tuple(sorted(classes, key=lambda c: (len(c.__mro__), c.__name__)))
    for cls in ordered:
        pythonqt.adapt(cls)
    return ordered


def make_qt() -> types.ModuleType:
    """Return the module ``qt``: QtCore, QtGui, QtWidgets and QUiLoader, flat; no Signal, Slot or Property."""
    module = types.ModuleType("qt", "Qt as PythonQt offers it")
    vars(module).update(pythonqt.flat((QtCore, QtGui, QtNetwork, QtWidgets)))
    return module


def dress(application: QtWidgets.QApplication) -> None:
    """Give the application Slicer's names, a light Fusion look and a font that every machine here has."""
    application.setOrganizationName("slicer.org")
    application.setOrganizationDomain("www.slicer.org")
    application.setApplicationName("Slicer")
    application.setApplicationVersion("5.12.0")
    application.setQuitOnLastWindowClosed(False)
    application.setStyle("Fusion")
    application.setPalette(_light())
    application.setFont(QtGui.QFont("DejaVu Sans", 9))


def _light() -> QtGui.QPalette:
    palette = QtGui.QPalette(QtGui.QColor("#efefef"))
    role = QtGui.QPalette.ColorRole
    palette.setColor(role.Base, QtGui.QColor("white"))
    palette.setColor(role.AlternateBase, QtGui.QColor("#f7f7f7"))
    palette.setColor(role.Highlight, QtGui.QColor("#308cc6"))
    palette.setColor(role.HighlightedText, QtGui.QColor("white"))
    palette.setColor(role.PlaceholderText, QtGui.QColor("#808080"))
    return palette
