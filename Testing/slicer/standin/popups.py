"""Pop-ups that would block for ever here: each is answered as the test said, and one nobody announced is a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtGui, QtWidgets

# The static functions that show a dialog, with what they return in PythonQt: no tuples, as other bindings do.
STATIC = {
    QtWidgets.QFileDialog: {
        "getExistingDirectory": str,
        "getOpenFileName": str,
        "getOpenFileNames": list,
        "getSaveFileName": str,
    },
    QtWidgets.QMessageBox: dict.fromkeys(
        ("question", "information", "warning", "critical"), QtWidgets.QMessageBox.StandardButton
    ),
    QtWidgets.QInputDialog: {"getText": str, "getItem": str, "getInt": int, "getDouble": float},
}


class UnexpectedPopupError(AssertionError):
    """A pop-up that the test did not announce; in Slicer it would wait for the user."""


@dataclass(frozen=True)
class Popup:
    """What a pop-up showed."""

    kind: str
    text: str
    title: str = ""
    details: str = ""


@dataclass
class Popups:
    """The pop-ups of a test: what may come (`expect`), what came (`shown`), what was not announced (`unexpected`)."""

    shown: list[Popup] = field(default_factory=list)
    unexpected: list[Popup] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)  # what would have opened in a browser or file manager
    _expected: list[tuple[str, Any]] = field(default_factory=list)

    def expect(self, fragment: str, answer: Any) -> None:
        """Announce the next pop-up: a part of its text, and the button or value it is answered with.

        For a dialog with widgets of its own the answer may be a function that gets the dialog and returns the result.
        """
        self._expected.append((fragment, answer))

    @property
    def pending(self) -> list[str]:
        """The announced pop-ups that have not come."""
        return [fragment for fragment, _ in self._expected]

    def answer(self, popup: Popup, dialog: Any = None) -> Any:
        """Record a pop-up and return its answer."""
        self.shown.append(popup)
        if self._expected and self._expected[0][0] in f"{popup.title}\n{popup.text}":
            answer = self._expected.pop(0)[1]
            return answer(dialog) if callable(answer) and dialog is not None else answer
        self.unexpected.append(popup)
        raise UnexpectedPopupError(f"the test announced no pop-up like this one: {popup}")

    def reset(self) -> None:
        """Forget everything."""
        self.shown.clear()
        self.unexpected.clear()
        self.opened.clear()
        self._expected.clear()


def install(popups: Popups) -> None:
    """Lead every way to a modal dialog to the recorder."""

    def exec_(dialog: Any) -> Any:
        text = dialog.text if isinstance(dialog, QtWidgets.QMessageBox) else _texts(dialog)
        details = dialog.detailedText if isinstance(dialog, QtWidgets.QMessageBox) else ""
        answer = popups.answer(Popup(type(dialog).__name__, text, dialog.windowTitle.strip(), details), dialog)
        return int(answer) if isinstance(answer, bool) else answer

    for cls in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QInputDialog):
        cls.exec_ = exec_
        cls.exec = exec_

    def open_url(url: Any) -> bool:
        popups.opened.append(url.toString())
        return True

    QtGui.QDesktopServices.openUrl = staticmethod(open_url)
    for cls, functions in STATIC.items():
        for name, result in functions.items():
            setattr(cls, name, staticmethod(_static(popups, f"{cls.__name__}.{name}", result)))


def _static(popups: Popups, kind: str, result: type) -> Any:
    def show(_parent: Any = None, title: str = "", text: Any = "", *_: Any) -> Any:
        answer = popups.answer(Popup(kind, str(text), title))
        if not isinstance(answer, result):
            raise TypeError(f"{kind} returns a {result.__name__} in PythonQt, the test answers {answer!r}")
        return answer

    return show


def _texts(dialog: Any) -> str:
    labels = [label.text for label in dialog.findChildren(QtWidgets.QLabel)]
    return "\n".join(labels)
