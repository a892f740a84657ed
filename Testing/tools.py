"""Foreign tools as judges of what we write, and our own command as a person would call it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from servers import require

from NativeDLLib.cli.main import main


def dcmqi(name: str) -> str:
    """Return the path of one of dcmqi's commands, which its PyPI package puts beside Python."""
    return str(Path(sys.executable).parent / name)


def dciodvfy_errors(path: Path) -> list[str]:
    """Return the errors that dicom3tools' validator finds in an object."""
    command = [require("/usr/bin/dciodvfy", "dicom3tools"), str(path)]
    finished = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return [line for line in (finished.stdout + finished.stderr).splitlines() if line.startswith("Error")]


def nativedl(*arguments: Any, registry: Path | None = None) -> int:
    """Run a command in this process, with a site registry, and return its exit code."""
    environment = {} if registry is None else {"NATIVEDL_REGISTRY": str(registry)}
    with mock.patch.dict(os.environ, environment):
        return main([str(argument) for argument in arguments])
