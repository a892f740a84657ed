"""Which widgets a parameter can be connected to, by the rules of Slicer; every other pair is refused."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtWidgets

from . import parametertypes as types
from .ctkwidgets import ctkSliderWidget
from .nodecombobox import qMRMLNodeComboBox

__all__ = ["Decimals", "SingleStep"]

BOUND = 2**31


@dataclass
class Decimals:
    value: int


@dataclass
class SingleStep:
    value: float


class Connector:
    """One widget and one parameter: reads, writes, tells of changes."""

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.widget, self.read, self.write = widget, read, write
        self._signal, self._callback = signal, None

    def on_changed(self, callback: Callable[[], None] | None) -> None:
        signal = getattr(self.widget, self._signal)
        if callback is None:
            signal.disconnect(self._changed)
        else:
            signal.connect(self._changed)
        self._callback = callback

    def _changed(self, *_: Any) -> None:
        if self._callback is not None:
            self._callback()


def connector(widget: Any, datatype: Any) -> Connector:
    """Return the connector of a widget and an annotated type.

    Raises
    ------
    RuntimeError
        Where Slicer has none for them: classes are compared exactly, so a derived widget has none.
    """
    kind, notes = types.split(datatype)
    cls = type(widget)
    if cls is qMRMLNodeComboBox and types.node_types(datatype):
        widget.nodeTypes = list(types.node_types(datatype))
        return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    if kind is bool and cls is QtWidgets.QCheckBox:
        return _property(widget, "stateChanged", "checked")
    if kind is bool and cls is QtWidgets.QPushButton:
        widget.checkable = True
        return _property(widget, "toggled", "checked")
    if kind is int and cls in (QtWidgets.QSpinBox, QtWidgets.QSlider):
        _limit(widget, notes, -BOUND, BOUND - 1, needed=cls is QtWidgets.QSlider)
        return _property(widget, "valueChanged", "value")
    if kind is float and cls in (QtWidgets.QDoubleSpinBox, ctkSliderWidget):
        _limit(widget, notes, float("-inf"), float("inf"), needed=cls is ctkSliderWidget)
        return _property(widget, "valueChanged", "value")
    if kind is str and cls is QtWidgets.QLineEdit:
        return _property(widget, "textChanged", "text")
    if kind is str and cls is QtWidgets.QTextEdit:
        return Connector(widget, "textChanged", widget.toPlainText, widget.setPlainText)
    if cls is QtWidgets.QComboBox and (choices := _choices(kind, notes)) is not None:
        return _combo(widget, *choices)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{datatype}' to widget type '{cls}'")


def _property(widget: Any, signal: str, name: str) -> Connector:
    return Connector(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _limit(widget: Any, notes: tuple[Any, ...], low: float, high: float, *, needed: bool) -> None:
    within = _first(notes, types.WithinRange)
    minimum, maximum = _first(notes, types.Minimum), _first(notes, types.Maximum)
    if needed and within is None and (minimum is None or maximum is None):
        raise RuntimeError("Cannot connect a slider to a number without bounds.")
    if (decimals := _first(notes, Decimals)) is not None:
        widget.decimals = decimals.value
    if (step := _first(notes, SingleStep)) is not None:
        widget.singleStep = step.value
    widget.minimum = within.minimum if within else minimum.minimum if minimum else low
    widget.maximum = within.maximum if within else maximum.maximum if maximum else high


def _choices(kind: Any, notes: tuple[Any, ...]) -> tuple[list[str], list[Any]] | None:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda each: each.name)
        return [label(each) for each in kind], list(kind)
    if kind not in (int, float, str, bool):
        return None
    choice = _first(notes, types.Choice)
    if choice is None:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    return [str(each) for each in choice.choices], list(choice.choices)


def _combo(widget: Any, labels: list[str], values: list[Any]) -> Connector:
    widget.clear()
    for label in labels:
        widget.addItem(label)

    def write(value: Any) -> None:
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex], write)


def _first(notes: tuple[Any, ...], kind: type) -> Any:
    return next((note for note in notes if isinstance(note, kind)), None)
