"""The stand-in application as a fixture: fresh scene, settings, database and pop-ups for every test."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import factories
import pytest
import servers

from Testing.slicer import panel as panels


@pytest.fixture
def slicer_app(starting_app: object) -> object:
    """The application (`Session`); what goes wrong in slots, observers and pop-ups fails the test."""
    starting_app.slicer.app.startupCompleted.emit()  # type: ignore[attr-defined]
    return starting_app


@pytest.fixture
def starting_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The application while it starts: modules are there, the DICOM database is not."""
    pytest.importorskip("slicer_core")
    if sys.platform == "linux":
        _require_libraries_of_qt()
    from PySide6.QtCore import QSettings

    from Testing.slicer.standin import session
    from Testing.slicer.standin.dicomdatabase import DICOM

    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))
    app = session.Session(tmp_path)
    end = session.watch(app.errors)
    monkeypatch.setenv("PATH", f"{app.slicer.app.slicerHome}/bin{os.pathsep}{os.environ['PATH']}")
    # Importing what the next run would need takes longer than what most tests do.
    monkeypatch.setenv("NATIVEDL_SPARE", "0")
    app.popups.reset()
    app.installer.reset()
    app.slicer.modules.DICOMInstance = DICOM(tmp_path / "database")
    try:
        yield app
        app._finish()
    finally:
        end()
        app.slicer.modules.DICOMInstance._quit()
    assert not app.popups.unexpected, f"pop-ups that the test did not announce: {app.popups.unexpected}"
    assert not app.popups.pending, f"announced pop-ups that did not come: {app.popups.pending}"
    assert not app.errors, "\n".join(app.errors)


@pytest.fixture
def spare(slicer_app: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that waits for the next segmentation, as there is one for a user."""
    monkeypatch.delenv("NATIVEDL_SPARE")


@pytest.fixture
def pictures(slicer_app: object, tmp_path: Path) -> Callable[[object, str], None]:
    """Take pictures of a panel; where ``NATIVEDL_SCREENSHOTS`` names a folder they are kept there."""
    folder = _pictures_folder(tmp_path)

    def take(panel: object, name: str) -> None:
        slicer_app.picture(panel.widget, folder / f"panel-{name}.png")  # type: ignore[attr-defined]
        assert panel.widget.parent.width == 400, "the panel does not fit into Slicer's"  # type: ignore[attr-defined]

    return take


@pytest.fixture
def slice_pictures(tmp_path: Path) -> Callable[[object, int, str], None]:
    """Take pictures of a volume's slice with the scene's curves on it; where they go is as with `pictures`."""
    folder = _pictures_folder(tmp_path)

    def take(volume: object, index: int, name: str) -> None:
        panels.slice_picture(volume, index, folder / f"slice-{name}.png")

    return take


def _pictures_folder(otherwise: Path) -> Path:
    return Path(os.environ.get("NATIVEDL_SCREENSHOTS") or otherwise)


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


@pytest.fixture
def bright(slicer_app: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> panels.Panel:
    """The panel with a small series of the database chosen, and a small model for it in the registry."""
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path / "registry")))
    slicer_app.series = panels.add(slicer_app, factories.ct_series(tmp_path / "series"))  # type: ignore[attr-defined]
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")
    return panel


def _require_libraries_of_qt() -> None:
    """PySide6 brings Qt but not what Qt needs of the system: libEGL, libxkbcommon, and fonts to be measured."""
    packages = "libegl1 libxkbcommon0 fontconfig fonts-dejavu-core"
    if not _has_libraries_of_qt():
        servers.install_packages(packages)
    if not _has_libraries_of_qt():
        servers.miss(f"PySide6 needs libraries and fonts of the system (Debian packages {packages})")


def _has_libraries_of_qt() -> bool:
    try:
        for name in ("libEGL.so.1", "libxkbcommon.so.0"):
            ctypes.CDLL(name)
    except OSError:
        return False
    return any(Path("/usr/share/fonts").rglob("*.ttf"))
