"""What a test drives: modules loaded from a folder, the event loop, pictures of panels, what went wrong unseen."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from . import modules
from .install import POPUPS, install
from .packages import INSTALLER, Installer
from .popups import Popups

HARMLESS = ("propagateSizeHints", "This plugin does not support")


@dataclass
class Session:
    """The application during one test."""

    folder: Path
    slicer: Any = field(default_factory=install)
    popups: Popups = field(default_factory=lambda: POPUPS)
    installer: Installer = field(default_factory=lambda: INSTALLER)
    errors: list[str] = field(default_factory=list)
    _loaded: list[str] = field(default_factory=list)

    def load(self, path: Path) -> Any:
        """Load a scripted module (its .py file), enter it, and return its panel's Python object."""
        module = modules.load(self.slicer.app.moduleManager(), path)
        self._loaded.append(module.name)
        widget = module.widgetRepresentation()
        widget.enter()
        return widget.self()

    def reload(self, name: str) -> Any:
        """Reload a module as Slicer's Reload button does and return the new panel's Python object."""
        self.slicer.util.reloadScriptedModule(name)
        return getattr(self.slicer.modules, f"{name}Widget")

    def unload(self, name: str) -> None:
        """Unload a module as the application does when it quits."""
        self._loaded.remove(name)
        modules.unload(self.slicer.app.moduleManager(), name)
        self.process_events()

    def close_scene(self) -> None:
        """Close the scene as File / Close scene does."""
        self.slicer.mrmlScene.Clear(0)
        self.process_events()

    def process_events(self) -> None:
        """Let Qt do what is waiting, deferred deletions included."""
        QtWidgets.QApplication.processEvents()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)

    def wait_until(self, condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
        """Run the event loop until a condition holds and return what it returned.

        Raises
        ------
        TimeoutError
            Where it does not hold in time.
        """
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what or condition} did not come within {seconds} s")
            QtCore.QThread.msleep(5)
            self.process_events()
        return result

    def picture(self, widget: Any, path: Path, width: int = 400) -> Path:
        """Save a picture of a panel as wide as Slicer's module panel, as high as it needs, and return its path."""
        panel = getattr(widget, "parent", widget)
        panel = panel if isinstance(panel, QtWidgets.QWidget) else widget
        panel.resize(width, 10)
        panel.show()
        for _ in range(3):
            self.process_events()
            height = panel.heightForWidth(width) if panel.hasHeightForWidth() else panel.sizeHint.height()
            panel.resize(width, max(height, panel.minimumSizeHint.height()))
        self.process_events()
        if not panel.grab().save(str(path)):
            raise OSError(f"{path}: the picture was not written")
        return path

    def _finish(self) -> None:
        for name in list(self._loaded):
            self.unload(name)
        self.slicer.app._close_views()
        self.slicer.mrmlScene.Clear(1)
        self.process_events()


class Heartbeat:
    """Counts how often the event loop runs, and measures the longest time during which it did not."""

    def __init__(self, interval: int = 5) -> None:
        self.beats, self.longest = 0, 0.0
        self._last = time.monotonic()
        self._timer = QtCore.QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(interval)

    def _beat(self) -> None:
        now = time.monotonic()
        self.beats, self.longest, self._last = self.beats + 1, max(self.longest, now - self._last), now

    def __enter__(self) -> Heartbeat:
        self.beats, self.longest, self._last = 0, 0.0, time.monotonic()
        return self

    def __exit__(self, *_: Any) -> None:
        self._beat()
        self._timer.stop()


class Resizes(QtCore.QObject):
    """Counts how often widgets were given another size, by the name of each."""

    def __init__(self, *widgets: Any) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, widget: QtCore.QObject, event: QtCore.QEvent) -> bool:
        if event.type() == QtCore.QEvent.Type.Resize:
            self.counts[str(widget.property("objectName"))] += 1
        return False


def watch(errors: list[str]) -> Callable[[], None]:
    """Collect exceptions in slots and observers, and Qt's warnings; return what ends the watch.

    In Slicer such an exception is a red text in the Python console that nobody sees.
    """
    before = sys.excepthook

    def note(kind: Any, error: Any, trace: Any) -> None:
        lines = traceback.format_exception(kind, error, trace)
        # tryWithErrorDisplay tells the user, and raises all the same; the test has announced that pop-up.
        if not any(popup.details.endswith(lines[-1]) for popup in POPUPS.shown):
            errors.append("".join(lines))

    def message(kind: QtCore.QtMsgType, _context: Any, text: str) -> None:
        if kind != QtCore.QtMsgType.QtDebugMsg and not text.startswith(HARMLESS):
            errors.append(f"Qt: {text}")

    sys.excepthook = note
    handler = QtCore.qInstallMessageHandler(message)

    def end() -> None:
        sys.excepthook = before
        QtCore.qInstallMessageHandler(handler)

    return end
