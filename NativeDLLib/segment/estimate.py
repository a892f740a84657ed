"""Estimate of a run's time and memory on this computer, from the last run of the same model on the same device."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

from NativeDLLib.core.errors import NativeDLError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.places import kept
from NativeDLLib.registry.entry import Model
from NativeDLLib.results.report import Report

# Time of the PACS and of other jobs, which is not of this run.
_FOREIGN_STAGES = ("retrieve", "send", "wait")
# A run that took a moment says nothing about one that takes minutes: most of its moment did not depend on its size.
_REACH = 8
_MOST_RUNS = 200


@dataclass(frozen=True)
class Expectation:
    """Time in s, peak memory in MiB, and where the figures come from."""

    seconds: float
    peak_mib: float | None
    basis: str


@dataclass(frozen=True)
class _Run:
    """Costs of a run: for each stage the seconds and the peak memory in MiB."""

    model: str
    device: str
    voxels: float
    volume_mm3: float
    stages: Mapping[str, tuple[float, float]]

    def replaces(self, other: "_Run") -> bool:
        same = (self.model, self.device) == (other.model, other.device)
        return same and 1 / _REACH < self.voxels / other.voxels < _REACH


def remember(report: Report) -> None:
    """Keep the costs in a run's report, in place of those of a run of about the same size."""
    # The result is there; that the next estimate is missing is not worth an error, whatever the reason.
    with suppress(Exception):
        if report.model is None or report.series is None or not report.device:
            return
        voxels, own = prod(report.series.size), [s for s in report.stages if s.name not in _FOREIGN_STAGES]
        sizes = {"voxels": voxels, "volume_mm3": voxels * prod(report.series.spacing_mm)}
        stages = {stage.name: [stage.seconds, stage.peak_mib] for stage in own}
        device = report.device.split(" ")[0]  # of a description such as "cpu (2 threads)"
        model = f"{report.model.id} {report.model.version}"
        new = _run({"model": model, "device": device, **sizes, "stages": stages})
        if new is not None:
            others = [run for run in _runs() if not new.replaces(run)]
            write_json(kept("timings.json"), {"runs": [vars(run) for run in (*others, new)][-_MOST_RUNS:]})


def expect(model: Model, size: Sequence[int], spacing: Sequence[float], device: str) -> Expectation | None:
    """Estimate for a model and a series of `size` voxels and `spacing` in mm (x, y, z) on a device such as ``cuda:0``.
    None where neither this computer nor the registry's evaluation has a run of a comparable size.
    """
    voxels, volume = float(prod(size)), prod(size) * prod(spacing)
    word = "cuda:0" if device == "cuda" else device
    # The last one written comes last: automatic is what it took then.
    for run in reversed(_runs()):
        if run.model == model.tool_name and word in ("auto", run.device) and voxels < run.voxels * _REACH:
            return _scaled(run, model, voxels, volume)
    for row in model.evaluation:
        if "seconds" in row and "hardware" in row:
            return Expectation(row["seconds"], row.get("memory_mib"), row["hardware"])
    return None


def _scaled(run: _Run, model: Model, voxels: float, volume: float) -> Expectation:
    by_voxels = voxels / run.voxels
    # Loading does not depend on the series, inference on the volume of the body where the network has a spacing of its
    # own, everything else on the number of voxels.
    factors = {"load": 1.0}
    if model.input.spacing is not None:
        # However small the body, the network is given at least one patch.
        patch = prod(model.input.patch_size or ()) * prod(model.input.spacing)
        factors["infer"] = factors["coarse"] = max(volume, patch) / max(run.volume_mm3, patch)
    seconds = sum(took * factors.get(name, by_voxels) for name, (took, _) in run.stages.items())
    base = run.stages.get("load", (0.0, 0.0))[1]
    peak = max(mib for _, mib in run.stages.values())
    return Expectation(seconds, base + max(peak - base, 0) * by_voxels, "last run on this computer")


def _runs() -> list[_Run]:
    try:
        entries = read_json(kept("timings.json"), NativeDLError)["runs"]
        return [run for entry in entries if (run := _run(entry)) is not None]
    except (NativeDLError, RuntimeError, LookupError, TypeError):
        # Nothing depends on it: a file that is missing or broken is written anew after the next run.
        return []


def _run(entry: Any) -> _Run | None:
    try:
        stages = {str(name): (float(took), float(peak)) for name, (took, peak) in entry["stages"].items()}
        voxels, volume_mm3 = float(entry["voxels"]), float(entry["volume_mm3"])
        run = _Run(str(entry["model"]), str(entry["device"]), voxels, volume_mm3, stages)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    figures = [run.voxels, run.volume_mm3, *(value for stage in stages.values() for value in stage)]
    is_sane = all(math.isfinite(value) and value >= 0 for value in figures) and run.voxels and run.volume_mm3
    return run if is_sane and stages else None
