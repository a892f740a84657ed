"""``qt.QUiLoader``: reads .ui files with the custom widgets there are in Slicer, and refuses what it does not know."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools

from .pythonqt import LOADING, closed

CUSTOM: dict[str, type] = {}


@closed
class QUiLoader(QtCore.QObject):
    """Loads a form; connections that carry MRML objects are made here, Qt's loader cannot make them."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._loader = QtUiTools.QUiLoader()
        for cls in CUSTOM.values():
            self._loader.registerCustomWidget(cls)

    def load(self, device: Any, parent: Any = None) -> Any:
        form = ElementTree.fromstring(device.readAll().data())
        unknown = {w.get("class", "") for w in form.iter("widget")} - set(self._loader.availableWidgets()) - set(CUSTOM)
        if unknown:
            raise ValueError(f"the .ui file has widgets that this stand-in has not: {', '.join(sorted(unknown))}")
        scenes = _take_mrml_connections(form)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(form))
        LOADING.append(form.findtext("class") or "")
        try:
            widget = self._loader.load(buffer, parent)
        finally:
            LOADING.pop()
        if widget is None:
            raise ValueError(f"the .ui file was not read: {self._loader.errorString()}")
        _check_properties(form, widget)
        for connection in scenes:
            _connect(widget, connection)
        return widget


def _take_mrml_connections(form: Any) -> list[dict[str, str]]:
    taken = []
    for connections in form.iter("connections"):
        for connection in list(connections):
            row = {part.tag: part.text or "" for part in connection}
            if "vtkMRML" in row["signal"]:
                taken.append(row)
                connections.remove(connection)
    return taken


def _connect(root: Any, row: dict[str, str]) -> None:
    sender, receiver = (_named(root, row[end]) for end in ("sender", "receiver"))
    getattr(sender, row["signal"].split("(")[0]).connect(getattr(receiver, row["slot"].split("(")[0]))


def _named(root: Any, name: str) -> Any:
    found = root if root.objectName == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise ValueError(f"the .ui file connects {name}, which it does not have")
    return found


def _check_properties(form: Any, root: Any) -> None:
    """Refuse a property that the widget does not have: Qt's loader takes it for a dynamic one."""
    for element in form.iter("widget"):
        widget = _named(root, element.get("name"))
        for declared in element.findall("property"):
            name = declared.get("name")
            if declared.get("stdset") != "0" and widget.metaObject().indexOfProperty(name) < 0:
                raise ValueError(f"the .ui file sets {name}, which a {element.get('class')} has not")
