"""``slicer.parameterNodeWrapper`` over a real ``vtkMRMLScriptedModuleNode``: nodes that the scene keeps for a panel.

Slicer also keeps numbers and texts, and connects them to more widgets. The panel asks for none of that, so it is
refused here.
"""

from __future__ import annotations

import typing
import weakref
from typing import Any

import slicer_core
import vtk

from .nodecombobox import qMRMLNodeComboBox

__all__ = ["parameterNodeWrapper"]

PROPERTY = "SlicerParameterName"


class _Wrapper:
    """What the decorator gives every wrapper; mixed into the decorated class."""

    allParameters: dict[str, type]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, _Connector]] = {}
        self._showing = False
        this = weakref.ref(self)
        parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: (it := this()) and it._show())

    def connectGui(self, gui: Any) -> int:
        """Connect every widget with the dynamic property ``SlicerParameterName``; return the connection's tag."""
        named = {widget.property(PROPERTY): widget for widget in vars(gui).values() if widget.property(PROPERTY)}
        if unknown := named.keys() - self.allParameters.keys():
            raise ValueError(f"Cannot find a param with the given name: {', '.join(sorted(unknown))}")
        tag = len(self._guis)
        self._guis[tag] = {name: _Connector(self, name, widget) for name, widget in named.items()}
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        for connector in self._guis.pop(guiTag, {}).values():
            connector.disconnect()

    def _show(self) -> None:
        if not self._showing:
            self._showing = True
            try:
                for connectors in list(self._guis.values()):
                    for connector in connectors.values():
                        connector.show()
            finally:
                self._showing = False


class _Connector:
    """A parameter and the widget that shows it."""

    def __init__(self, wrapper: Any, name: str, widget: Any) -> None:
        # Slicer compares classes exactly, so that a derived widget has no connector.
        if type(widget) is not qMRMLNodeComboBox:
            kind = wrapper.allParameters[name]
            raise RuntimeError(f"Unable to create GUI connector from datatype '{kind}' to widget type '{type(widget)}'")
        self._wrapper, self._name, self._widget = wrapper, name, widget
        widget.nodeTypes = [wrapper.allParameters[name].__name__]
        self.show()
        widget.currentNodeChanged.connect(self._take)

    def show(self) -> None:
        self._widget.setCurrentNode(getattr(self._wrapper, self._name))

    def disconnect(self) -> None:
        self._widget.currentNodeChanged.disconnect(self._take)

    def _take(self, node: Any) -> None:
        if not self._wrapper._showing:
            setattr(self._wrapper, self._name, node)


def parameterNodeWrapper(classtype: Any) -> Any:
    """Make a class whose annotations are classes of nodes a wrapper."""
    kinds = typing.get_type_hints(classtype)
    for kind in kinds.values():
        if not (isinstance(kind, type) and issubclass(kind, slicer_core.vtkMRMLNode)):
            raise TypeError(f"Unable to create serializer for type: {kind}; this stand-in keeps nodes only")
    for name, value in vars(_Wrapper).items():
        if name == "__init__" or not name.startswith("__"):
            setattr(classtype, name, value)
    classtype.allParameters = kinds
    for name, kind in kinds.items():
        setattr(classtype, name, _attribute(name, kind))
    return classtype


def _attribute(name: str, kind: type) -> property:
    def put(self: Any, value: Any) -> None:
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"Value must be of type '{kind}', is type '{type(value)}' value '{value}'")
        self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    return property(lambda self: self.parameterNode.GetNodeReference(name), put)
