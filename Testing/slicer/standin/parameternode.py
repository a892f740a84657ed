"""``slicer.parameterNodeWrapper``: typed attributes over a real ``vtkMRMLScriptedModuleNode``, tied to the panel."""

from __future__ import annotations

import logging
import typing
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import vtk

from . import guiconnectors
from .parametertypes import Default, Validator, serializer, split

__all__ = ["isParameterNodeWrapper", "parameterNodeWrapper"]

PROPERTY = "SlicerParameterName"


class _Parameter:
    def __init__(self, owner: type, name: str, datatype: Any) -> None:
        kind, notes = split(datatype)
        self.name, self.datatype = name, datatype
        self.serializer = serializer(kind, [note for note in notes if isinstance(note, Validator)])
        defaults = [note.value for note in notes if isinstance(note, Default)]
        if hasattr(owner, name):
            self.default = getattr(owner, name)
        else:
            self.default = defaults[0] if defaults else self.serializer.default()
        known = (Validator, Default, guiconnectors.Decimals, guiconnectors.SingleStep)
        if unused := [note for note in notes if not isinstance(note, known)]:
            logging.warning(f"Unused annotations: {unused}")


class _Wrapper:
    """What the decorator gives every wrapper; mixed into the decorated class."""

    allParameters: dict[str, _Parameter]
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._guis: dict[int, dict[str, guiconnectors.Connector]] = {}
        self._next_tag, self._updating = 0, False
        for name, parameter in self.allParameters.items():
            if not parameter.serializer.has(parameterNode, self._prefix + name):
                self.setValue(name, parameter.default)

    def _parameter(self, name: str) -> _Parameter:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; there are {list(self.allParameters)}")
        return self.allParameters[name]

    def default(self, paramName: str) -> Default:
        return Default(self._parameter(paramName).default)

    def isCached(self, paramName: str) -> bool:
        return bool(self._parameter(paramName))

    @classmethod
    def dataType(cls, membername: str) -> Any:
        return cls.allParameters[membername].datatype

    def getValue(self, name: str) -> Any:
        parameter = self._parameter(name)
        if not parameter.serializer.has(self.parameterNode, self._prefix + name):
            parameter.serializer.write(self.parameterNode, self._prefix + name, parameter.default)
        return parameter.serializer.read(self.parameterNode, self._prefix + name)

    def setValue(self, name: str, value: Any) -> None:
        with _modifying(self.parameterNode):
            self._parameter(name).serializer.write(self.parameterNode, self._prefix + name, value)

    def connectGui(self, gui: Any) -> int:
        """Connect every widget with the dynamic property ``SlicerParameterName``; return the connection's tag."""
        widgets = vars(gui).values() if not hasattr(gui, "isWidgetType") else gui.findChildren(_widget_class())
        named = {w.property(PROPERTY): w for w in widgets if w.property(PROPERTY)}
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._parameter(name)
        made = {name: guiconnectors.connector(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._guis[tag] = made
        for name, each in made.items():
            each.write(self.getValue(name))
            each.on_changed(self._taker(name, each))
        this = weakref.ref(self)
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: (it := this()) and it._show())
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        for each in self._guis.pop(guiTag, {}).values():
            each.on_changed(None)

    def _taker(self, name: str, each: guiconnectors.Connector) -> Any:
        def take() -> None:
            if not self._updating:
                self.setValue(name, each.read())

        return take

    def _show(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for mapping in list(self._guis.values()):
                for name, each in mapping.items():
                    each.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: Any) -> None:
        self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype: Any = None) -> Any:
    """Make a class of annotations a wrapper; used with or without brackets."""
    if classtype is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(classtype, include_extras=True)
    parameters = {name: _Parameter(classtype, name, datatype) for name, datatype in hints.items()}
    for name, value in vars(_Wrapper).items():
        if name.startswith("__") and name != "__init__":
            continue
        if name != "__init__" and hasattr(classtype, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(classtype, name, value)
    classtype.allParameters = parameters
    for name in parameters:
        setattr(classtype, name, _attribute(name))
    return classtype


def isParameterNodeWrapper(classOrObj: Any) -> bool:
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)


def _attribute(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def _widget_class() -> Any:
    import qt

    return qt.QWidget


@contextmanager
def _modifying(node: Any) -> Iterator[None]:
    was_modifying = node.StartModify()
    try:
        yield
    finally:
        node.EndModify(was_modifying)
