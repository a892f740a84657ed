"""Where and with what the figures were found."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil

from NativeDLLib import __version__
from NativeDLLib.core.versions import versions

_PEERS = ("monai", "dcm2niix", "dcmqi", "pynetdicom")


def describe() -> dict[str, Any]:
    """Return date, machine and versions."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "gpu": _gpu(),
            "load_before": os.getloadavg()[0],
            "system": platform.platform(),
        },
        "versions": {"NativeDL": __version__, "python": platform.python_version(), **versions(), **_peers()},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None


def _peers() -> dict[str, str]:
    found = versions(_PEERS)
    for name, program in {"orthanc": "/usr/sbin/Orthanc", "dcmtk": "/usr/bin/dcmsend"}.items():
        if Path(program).exists():
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            found[name] = next((line.strip("$ ") for line in told.splitlines() if line.strip()), "unknown")
    return found
