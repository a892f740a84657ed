"""``slicer.packaging``: reports and fails like Slicer's, records what would be installed and installs nothing."""

from __future__ import annotations

import importlib.metadata
import logging
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CalledProcessError

from packaging.requirements import Requirement

__all__ = ["pip_ensure"]


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

    def install(self, requirements: list[str]) -> None:
        """Record the requirements; they are there afterwards unless the installation fails."""
        self.installed.append(requirements)
        if not self.fails:
            self.missing -= {Requirement(each).name for each in requirements if not each.startswith("-")}


INSTALLER = Installer()


def pip_ensure(
    requirements: list[str],
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Install what is missing, and end it as the test said.

    Raises
    ------
    subprocess.CalledProcessError
        Where the installation fails, after an error display. As in Slicer it carries no readable output.
    """
    import slicer

    if prompt_install or not show_progress:
        raise NotImplementedError("the stand-in asks nothing and hides nothing: prompt_install=False, show_progress")
    missing = [str(req) for req in map(Requirement, requirements) if not _satisfied(req, set())]
    if not missing:
        return None
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info(f"Testing mode is enabled: skipping pip_ensure for [{', '.join(missing)}]")
        return None
    INSTALLER.install(missing)
    if INSTALLER.fails:
        title = f"{requester} - Installation Failed" if requester else "Installation Failed"
        text = "Package installation failed."
        slicer.util.errorDisplay(text, windowTitle=title, detailedText="\n".join(INSTALLER.log))
        raise CalledProcessError(1, "pip install")
    return [] if skip_packages is not None else None


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
