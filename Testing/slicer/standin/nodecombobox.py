"""``qMRMLNodeComboBox``: the nodes of a scene to choose from, kept true by the scene's own events."""

from __future__ import annotations

import weakref
from typing import Any

import shiboken6
import slicer_core
from PySide6 import QtCore, QtWidgets

from .pythonqt import closed

SIMPLE = {
    "showChildNodeTypes": (bool, True),
    "addEnabled": (bool, True),
    "removeEnabled": (bool, True),
    "renameEnabled": (bool, False),
    "noneEnabled": (bool, False),
    "nodeTypes": ("QStringList", []),
}


def _simple(name: str, kind: Any) -> Any:
    def get(self: Any) -> Any:
        return self._values[name]

    def put(self: Any, value: Any) -> None:
        self._values[name] = list(value) if kind == "QStringList" else value
        self._refresh()

    return QtCore.Property(kind, get, put)


@closed
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Choose a node. Disabled until it has a scene; with ``noneEnabled`` the first row is "None".

    As in Slicer a node that comes is not chosen by itself, and where the chosen one goes, its neighbour is chosen.
    The rows that create, rename and delete nodes are not here.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    SIGNALS = {"currentNodeChanged": ("vtkMRMLNode*",)}  # noqa: RUF012

    for _name, (_kind, _default) in SIMPLE.items():
        locals()[_name] = _simple(_name, _kind)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._values = {name: default for name, (_, default) in SIMPLE.items()}
        self._scene: Any = None
        self._tags: list[int] = []
        self._current: str | None = None
        self._row = -1
        self._refreshing = False
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(self._on_index)
        self.setEnabled(False)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = slicer_core.vtkMRMLScene
        watched = (events.NodeAddedEvent, events.NodeRemovedEvent, events.EndCloseEvent, events.EndBatchProcessEvent)
        forward = _forward(weakref.ref(self))
        self._tags = [scene.AddObserver(event, forward) for event in watched] if scene else []
        self.setEnabled(scene is not None)
        self._refresh()

    def _on_scene(self) -> None:
        if not self._scene.IsClosing() and not self._scene.IsBatchProcessing():
            self._refresh()

    def nodeCount(self) -> int:
        return len(self._nodes())

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        """Take a node, None or (as Slicer still does) a node's ID."""
        if not (node is None or isinstance(node, str | slicer_core.vtkMRMLNode)):
            raise ValueError(f"setCurrentNode takes a vtkMRMLNode, not {type(node).__name__}")
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node else "")

    def _get_id(self) -> str:
        return self._current or ""

    def setCurrentNodeID(self, identifier: str) -> None:
        self._combo.setCurrentIndex(self._combo.findData(identifier if self._combo.findData(identifier) >= 0 else ""))

    currentNodeID = QtCore.Property(str, _get_id, setCurrentNodeID)

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        every = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        return [node for node in every if self._fits(node)]

    def _fits(self, node: Any) -> bool:
        values = self._values
        types = [name for name in values["nodeTypes"] if node.IsA(name)]
        if not types or node.GetHideFromEditors():
            return False
        return bool(values["showChildNodeTypes"] or node.GetClassName() in values["nodeTypes"])

    def _refresh(self) -> None:
        nodes, before, row = self._nodes(), self._current, self._row
        names = [node.GetID() for node in nodes]
        if before is not None and before not in names:
            before = names[min(row, len(names) - 1)] if names else None  # as a combo box goes on to the next row
        self._refreshing = True
        self._combo.clear()
        self._combo.placeholderText = self._hint()
        if self._values["noneEnabled"]:
            self._combo.addItem("None", "")
        for node in nodes:
            self._combo.addItem(node.GetName(), node.GetID())
        self._combo.setCurrentIndex(self._combo.findData(before or ""))
        self._refreshing = False
        self._on_index(self._combo.currentIndex)

    def _hint(self) -> str:
        types = self._values["nodeTypes"]
        label = self._scene.GetTypeDisplayNameByClassName(types[0]) if self._scene and types else ""
        return f"Select a {label or 'node'}"

    def _on_index(self, index: int) -> None:
        if self._refreshing:
            return
        chosen = self._combo.itemData(index) or None if index >= 0 else None
        self._row = index - int(self._values["noneEnabled"])
        if chosen != self._current:
            self._current = chosen
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(chosen or "")


def _forward(widget: weakref.ref[qMRMLNodeComboBox]) -> Any:
    """Return an observer that ends with the widget, as C++'s does."""

    def forward(_caller: Any, _event: str) -> None:
        alive = widget()
        if alive is not None and shiboken6.isValid(alive) and shiboken6.isValid(alive._combo):
            alive._on_scene()

    return forward
