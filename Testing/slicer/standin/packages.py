"""``slicer.packaging``: asks, reports and fails like Slicer's, records what would be installed and installs nothing."""

from __future__ import annotations

import importlib.metadata
import io
import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from PySide6 import QtCore

__all__ = [
    "isPipInstallInProgress",
    "load_pyproject_dependencies",
    "load_requirements",
    "pip_check",
    "pip_ensure",
    "pip_install",
    "pip_uninstall",
]


@dataclass
class Installer:
    """What the test wants pip to find and to do, and what it was asked for.

    ``missing`` are distributions that count as not installed; with ``fails`` an installation ends with an error
    after the lines of ``log``.
    """

    missing: set[str] = field(default_factory=set)
    fails: bool = False
    log: list[str] = field(default_factory=lambda: ["Collecting packages", "Done"])
    installed: list[list[str]] = field(default_factory=list)

    def reset(self) -> None:
        self.__init__()  # type: ignore[misc]

    def install(self, requirements: str | list[str]) -> None:
        """Record the requirements; they are there afterwards unless the installation fails."""
        asked = requirements.split() if isinstance(requirements, str) else list(requirements)
        self.installed.append(asked)
        if not self.fails:
            self.missing -= {_requirements(each)[0].name for each in asked if not each.startswith("-")}


INSTALLER = Installer()


def load_requirements(path: str | Path) -> list[Requirement]:
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def load_pyproject_dependencies(path: str | Path) -> list[Requirement]:
    data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    if "project" not in data:
        raise KeyError(f"pyproject.toml has no [project] table: {path}")
    return [Requirement(each) for each in data["project"].get("dependencies", [])]


def _requirements(given: Any) -> list[Requirement]:
    if isinstance(given, str):
        try:
            return [Requirement(given)]
        except InvalidRequirement:
            return [Requirement(each) for each in given.split()]
    if isinstance(given, Requirement):
        return [given]
    if isinstance(given, list):
        return [Requirement(each) if isinstance(each, str) else each for each in given]
    raise TypeError(f"Expected str, Requirement, or list, got {type(given).__name__}")


def pip_check(req: Any) -> bool:
    return all(_satisfied(each, set()) for each in _requirements(req))


def _satisfied(req: Requirement, seen: set[tuple[str, frozenset[str]]]) -> bool:
    key = (req.name.lower(), frozenset(req.extras))
    if key in seen or (req.marker is not None and not req.marker.evaluate()):
        return True
    seen.add(key)
    try:
        version = importlib.metadata.version(req.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    if req.name in INSTALLER.missing or version not in req.specifier:
        return False
    needed = [Requirement(each) for each in importlib.metadata.requires(req.name) or []] if req.extras else []
    chosen = [n for n in needed if n.marker and any(n.marker.evaluate({"extra": extra}) for extra in req.extras)]
    for each in chosen:
        each.marker = None
    return all(_satisfied(each, seen) for each in chosen)


def pip_ensure(
    requirements: Any,
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Install what is missing, after asking.

    Raises
    ------
    RuntimeError
        Where the user declines.
    subprocess.CalledProcessError
        Where the installation fails.
    """
    import slicer

    missing = [req for req in _requirements(requirements) if not pip_check(req)]
    if not missing:
        return None
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info(f"Testing mode is enabled: skipping pip_ensure for [{', '.join(map(str, missing))}]")
        return None
    if prompt_install:
        number = "1 Python package needs" if len(missing) == 1 else f"{len(missing)} Python packages need"
        accepted = slicer.util.confirmOkCancelDisplay(
            f"{number} to be installed.\n\nThis will modify Slicer's Python environment. Continue?",
            f"{requester} - Install Python Packages" if requester else "Install Python Packages",
            detailedText="\n".join(f"- {req}" for req in missing),
        )
        if not accepted:
            raise RuntimeError("User declined package installation")
    return pip_install(
        [str(req) for req in missing],
        constraints=constraints,
        skip_packages=skip_packages,
        show_progress=show_progress,
        requester=requester,
    )


def pip_install(
    requirements: str | list[str],
    constraints: str | Path | None = None,
    no_deps_requirements: str | list[str] | None = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    parent: Any = None,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
) -> list[str] | None:
    """Record an installation and end it as the test said.

    Raises
    ------
    subprocess.CalledProcessError
        Where it fails; with ``show_progress`` after an error display. As in Slicer it carries no readable output.
    ValueError
        For ``skip_packages`` with ``no_deps_requirements`` or without ``blocking``.
    """
    import slicer

    if skip_packages is not None and (no_deps_requirements is not None or not blocking):
        raise ValueError("skip_packages excludes no_deps_requirements and requires blocking=True")
    if no_deps_requirements is not None:
        INSTALLER.install(no_deps_requirements)
    INSTALLER.install(requirements)
    code = int(INSTALLER.fails)
    if not blocking:
        for line in INSTALLER.log:
            QtCore.QTimer.singleShot(0, lambda line=line: logCallback(line) if logCallback else print(line))
        QtCore.QTimer.singleShot(0, lambda: completedCallback(code) if completedCallback else None)
        return None
    if code and show_progress and not slicer.app.testingEnabled():
        title = f"{requester} - Installation Failed" if requester else "Installation Failed"
        slicer.util.errorDisplay(
            "Package installation failed.", windowTitle=title, detailedText="\n".join(INSTALLER.log)
        )
        raise CalledProcessError(code, "pip install")
    if code:
        raise CalledProcessError(code, ["PythonSlicer", "-m", "pip", "install"], output=io.StringIO())
    return [] if skip_packages is not None else None


def pip_uninstall(requirements: str | list[str]) -> None:
    """Refuse: nothing under test has a reason to remove packages."""
    raise NotImplementedError(f"the stand-in removes no packages ({requirements})")


def isPipInstallInProgress() -> bool:
    return False
