"""The widgets of CTK that the panel uses, with CTK's properties, signals and way of folding."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import closed


def _is_hidden(widget: Any) -> bool:
    # One that was never shown is not hidden yet: it appears with its parent.
    explicit = QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide
    return bool(widget.isHidden() and widget.testAttribute(explicit))


def _mark(child: Any, folded: bool) -> None:
    """Remember at the child, as CTK does, whether it is to appear when its parent unfolds."""
    QtCore.QObject.setProperty(child, "folded", folded)


def _is_marked(child: Any) -> bool:
    return bool(QtCore.QObject.property(child, "folded"))


@closed
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that folds what is below it; ``checked`` is the contrary of ``collapsed``."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *args: Any) -> None:
        text = args[0] if args and isinstance(args[0], str) else ""
        parents = [a for a in args if isinstance(a, QtWidgets.QWidget)]
        super().__init__(*parents[:1])
        self._collapsed = False
        self._collapsed_height = 10
        self._folding = False
        self.text = text
        self.checkable = True
        self.checked = True
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._header().height(), 0, 0)
        self.toggled.connect(self._on_toggled)

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapse: bool) -> None:
        self.checked = not collapse

    def _get_collapsed_height(self) -> int:
        return self._collapsed_height

    def setCollapsedHeight(self, height: int) -> None:
        self._collapsed_height = height
        self._fold()

    collapsed = QtCore.Property(bool, _get_collapsed, setCollapsed)
    collapsedHeight = QtCore.Property(int, _get_collapsed_height, setCollapsedHeight)

    def _on_toggled(self, checked: bool) -> None:
        if self._collapsed == (not checked):
            return
        self._collapsed = not checked
        self._fold()
        self.contentsCollapsed.emit(self._collapsed)

    def _fold(self) -> None:
        self._folding = True
        for child in (each for each in self.children() if isinstance(each, QtWidgets.QWidget)):
            if self._collapsed and not _is_hidden(child):
                _mark(child, True)
                child.hide()
            elif not self._collapsed and _is_marked(child):
                _mark(child, False)
                child.show()
        self.setMaximumHeight(self._header().height() + self._collapsed_height if self._collapsed else 16777215)
        self._folding = False
        self.updateGeometry()

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        # The child is only being made: to Python it is not yet what it will be, so nothing may hold on to it.
        child = event.child()
        if event.added() and child.isWidgetType():
            child.installEventFilter(self)
            if self._collapsed and not _is_hidden(child):
                self._folding = True
                _mark(child, True)
                child.hide()
                self._folding = False

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Keep a child folded that the module shows meanwhile, and remember what it wants."""
        if self._collapsed and not self._folding and child in self.children():
            self._folding = True
            if event.type() == QtCore.QEvent.ShowToParent:
                _mark(child, True)
                child.hide()
            elif event.type() == QtCore.QEvent.HideToParent:
                _mark(child, False)
            self._folding = False
        return False

    def _header(self) -> QtCore.QSize:
        metrics = QtGui.QFontMetrics(QtWidgets.QApplication.font())
        return QtCore.QSize(metrics.horizontalAdvance(self.text) + 36, max(metrics.height(), 12) + 8)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return bool(position.y() < self._header().height())

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        if self._collapsed or layout is None:
            return self._header() + QtCore.QSize(0, self._collapsed_height if self._collapsed else 0)
        return layout.totalSizeHint().expandedTo(self._header())

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        if self._collapsed or layout is None:
            return self.sizeHint()
        return layout.totalMinimumSize().expandedTo(self._header())

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._header().height())
        State = QtWidgets.QStyle.StateFlag
        option.state |= State.State_Sunken if self.down else State.State_Raised
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption(option)
        arrow.rect = QtCore.QRect(8, (option.rect.height() - 12) // 2, 12, 12)
        painter.drawPrimitive(
            QtWidgets.QStyle.PE_IndicatorArrowRight if self._collapsed else QtWidgets.QStyle.PE_IndicatorArrowDown,
            arrow,
        )
        painter.drawItemText(
            option.rect.adjusted(28, 0, -8, 0),
            int(QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter | QtCore.Qt.TextShowMnemonic),
            option.palette,
            self.isEnabled(),
            self.text,
            QtGui.QPalette.ColorRole.ButtonText,
        )


@closed
class ctkMessageBox(QtWidgets.QMessageBox):
    """The box behind ``slicer.util``'s displays; the stand-in's pop-ups answer it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._key = ""

    def _get_key(self) -> str:
        return self._key

    def _set_key(self, key: str) -> None:
        self._key = key

    dontShowAgainSettingsKey = QtCore.Property(str, _get_key, _set_key)
