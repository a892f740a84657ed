"""The programs that are measured: ours and others', each started as a person would start it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.compare import MissingError
from benchmarks.inputs import ROOT
from benchmarks.measure import Cost, run_process


def nativedl(*arguments: object, folder: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run our command line with a home of its own in `folder`."""
    command = [sys.executable, "-m", "NativeDLLib", *arguments]
    home = {"HOME": str(folder / "home"), "NATIVEDL_OUTBOX": str(folder / "outbox")}
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return run_process(command, folder / "nativedl.log", _ours() | home | dict(environment or {}))


def task(name: str, *arguments: object, folder: Path) -> Cost:
    """Run a function of `benchmarks.tasks` in a process of its own, which tells how long the function itself took."""
    told = folder / "task.json"
    told.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.tasks", told, name, *arguments]
    cost = run_process(command, folder / f"{name}.log", _ours())
    return replace(cost, seconds=json.loads(told.read_text())["seconds"])


def nnunet(results: Path, inputs: Path, output: Path, device: str) -> Cost:
    """Run nnU-Net's own prediction without mirroring, with one process for each side of it."""
    program = find("nnUNetv2_predict_from_modelfolder", "pip install nnunetv2")
    options = ["-f", "0", "-npp", "1", "-nps", "1", "-device", device, "--disable_tta", "--disable_progress_bar"]
    return run_process([program, "-i", inputs, "-o", output, "-m", results, *options], output.with_suffix(".log"))


def find(name: str, how: str) -> Path:
    """Return the path of a program, beside Python or on the path.

    Raises
    ------
    MissingError
        Where it is not there, with how to get it.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        raise MissingError(f"{name} is not there ({how})")
    return Path(found)


def debian(path: str, package: str) -> Path:
    """Return the path of a Debian package's program; pynetdicom has others of the same names.

    Raises
    ------
    MissingError
        Where it is not there, with how to get it.
    """
    if not Path(path).exists():
        raise MissingError(f"{path} is not there (apt-get install {package})")
    return Path(path)


def fresh(folder: Path) -> Path:
    """Return a folder that is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def stages(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what each stage of a report took."""
    return {stage["name"]: {k: stage[k] for k in ("seconds", "peak_mib")} for stage in report["stages"]}


def _ours() -> dict[str, str]:
    places = [str(ROOT), str(ROOT / "Testing"), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, places))}
