"""What a run will take on this computer, from what the last run of the same model on the same device took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from NativeDLLib.errors import NativeDLError
from NativeDLLib.files import write_json
from NativeDLLib.jsonfile import read_json
from NativeDLLib.registry.entry import Model

# What these take does not depend on the series; inference depends on the volume of the body where the network has a
# spacing of its own; everything else on the number of voxels.
_FIXED_STAGES = ("load",)
_INFERENCE = "infer"


@dataclass(frozen=True)
class Expectation:
    """Time in s, peak memory in MiB, and where the figures come from."""

    seconds: float
    peak_mib: float | None
    basis: str


def timings_file() -> Path:
    """Return the file in which the last run of each model on each device is kept."""
    return Path.home() / ".nativedl" / "timings.json"


def remember(report: Mapping[str, Any]) -> None:
    """Keep what a run took.

    Parameters
    ----------
    report
        As `run_job` returns it.
    """
    key = _key(report["model"]["id"], report["model"]["version"], report["device"])
    record = {
        "voxels": prod(report["series"]["size"]),
        "volume_mm3": prod(report["series"]["size"]) * prod(report["series"]["spacing_mm"]),
        "stages": {stage["name"]: [stage["seconds"], stage["peak_mib"]] for stage in report["stages"]},
    }
    try:
        write_json(timings_file(), {k: v for k, v in _timings().items() if k != key} | {key: record})
    except OSError:
        # The result is there; that the next estimate is missing is not worth an error.
        return


def expect(model: Model, size: tuple[int, ...], spacing: tuple[float, ...], device: str) -> Expectation | None:
    """Estimate what a run will take.

    Parameters
    ----------
    model
        To be run.
    size, spacing
        Of the series: voxels and mm, (x, y, z).
    device
        Word such as ``cpu`` or ``cuda:0``.

    Returns
    -------
    Expectation or None
        None where neither this computer nor the registry's evaluation record knows.
    """
    timings = _timings()
    key = _key(model.id, model.version, device)
    # The last one written comes last: automatic is what it took then.
    same = [value for name, value in timings.items() if name == key or (device == "auto" and name.startswith(key[:-4]))]
    record = same[-1] if same else None
    if record is not None:
        voxels = prod(size) / record["voxels"]
        volume = prod(size) * prod(spacing) / record["volume_mm3"] if model.input.spacing else voxels
        seconds = 0.0
        base = record["stages"].get("load", [0.0, 0.0])[1]
        for name, (took, _) in record["stages"].items():
            seconds += took * (1 if name in _FIXED_STAGES else volume if name == _INFERENCE else voxels)
        peak = max(mib for _, mib in record["stages"].values())
        return Expectation(seconds, base + max(peak - base, 0) * voxels, "last run on this computer")
    for row in model.evaluation:
        if "seconds" in row and "hardware" in row:
            return Expectation(row["seconds"], row.get("memory_mib"), row["hardware"])
    return None


def _key(model_id: str, version: str, device: str) -> str:
    # Descriptions such as "cpu (2 threads)" begin with the word.
    return f"{model_id} {version} {device.split(' ')[0]}"


def _timings() -> dict[str, Any]:
    try:
        timings = read_json(timings_file(), NativeDLError)
    except NativeDLError:
        # Nothing depends on it: a file that is missing or broken is written anew after the next run.
        return {}
    return timings if isinstance(timings, dict) else {}
