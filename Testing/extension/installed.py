"""The extension as CMake installs it, and a Python in which nothing but what is named can be imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import packaging
from servers import require

ROOT = Path(__file__).resolve().parents[2]
FAKE_SLICER = Path(__file__).resolve().parent / "fake_slicer"
SCRIPTED_MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")
SITE_PACKAGES = Path(packaging.__file__).resolve().parents[1]


def cmake(*arguments: object) -> str:
    """Run CMake and return what it printed."""
    for program, package in (("cmake", "cmake"), ("c++", "g++"), ("make", "make")):
        require(f"/usr/bin/{program}", package)
    command = ["/usr/bin/cmake", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def configure(source: Path, build: Path) -> str:
    """Configure the extension as a person would who builds it against Slicer."""
    return cmake("-S", source, "-B", build, f"-DSlicer_DIR={FAKE_SLICER}", "-G", "Unix Makefiles")


def python(code: str, paths: Sequence[Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that looks in its standard library, then in `paths`, and nowhere else."""
    start = f"import sys; sys.dont_write_bytecode = True; sys.path += {[str(path) for path in paths]!r}\n"
    command = [sys.executable, "-I", "-S", "-c", start + code]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
