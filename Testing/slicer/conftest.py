"""The stand-in application as a fixture: fresh scene, settings, database and pop-ups for every test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def slicer_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The application (`Session`); what goes wrong in slots, observers and pop-ups fails the test."""
    pytest.importorskip("slicer_core")
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)  # it needs libEGL and libxkbcommon
    from PySide6.QtCore import QSettings

    from Testing.slicer.standin import session
    from Testing.slicer.standin.dicomdatabase import ctkDICOMDatabase

    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))
    app = session.Session(tmp_path)
    end = session.watch(app.errors)
    monkeypatch.setenv("PATH", f"{app.slicer.app.slicerHome}/bin{os.pathsep}{os.environ['PATH']}")
    app.popups.reset()
    app.installer.reset()
    database = ctkDICOMDatabase()
    app.slicer.dicomDatabase = database
    folder = tmp_path / "database"
    folder.mkdir()
    database.openDatabase(str(folder / "ctkDICOM.sql"))
    try:
        yield app
        app._finish()
    finally:
        end()
        database.closeDatabase()
    assert not app.popups.unexpected, f"pop-ups that the test did not announce: {app.popups.unexpected}"
    assert not app.popups.pending, f"announced pop-ups that did not come: {app.popups.pending}"
    assert not app.errors, "\n".join(app.errors)


@pytest.fixture
def pictures(slicer_app: object, tmp_path: Path) -> Callable[[object, str], None]:
    """Take pictures of a panel; where ``NATIVEDL_SCREENSHOTS`` names a folder they are kept there."""
    folder = Path(os.environ.get("NATIVEDL_SCREENSHOTS") or tmp_path)

    def take(panel: object, name: str) -> None:
        slicer_app.picture(panel.widget, folder / f"panel-{name}.png")  # type: ignore[attr-defined]
        assert panel.widget.parent.width == 400, "the panel does not fit into Slicer's"  # type: ignore[attr-defined]

    return take


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is full after some kilobytes; only root can make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
