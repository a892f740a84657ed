"""How our time and memory grow with slices and with classes, from DICOM to SEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare import Result, Setting
from benchmarks.inputs import phantom
from benchmarks.measure import Cost, RunError
from benchmarks.networks import SMALL, TINY, weights
from benchmarks.programs import fresh
from benchmarks.segmenting import Source, segment, stage_medians
from benchmarks.table import median

_COLUMNS = ("slices", "classes", "seconds", "peak MiB")


def run(setting: Setting) -> Result:
    """Run the benchmark."""
    slices, classes = ((10, 20, 40), (1, 3, 5)) if setting.quick else ((100, 300, 600), (1, 5, 25, 117))
    middle = 20 if setting.quick else 300
    points = list(dict.fromkeys([*((n, 5) for n in slices), *((middle, n) for n in classes)]))
    costs: dict[tuple[int, int], list[Cost]] = {point: [] for point in points}
    reports: dict[tuple[int, int], list[Any]] = {point: [] for point in points}
    result, folder = Result(), fresh(setting.folder / "runs" / "growth")
    for _ in range(setting.runs):
        for point in list(costs):
            try:
                cost, report = _once(setting, folder, *point)
            except RunError as error:
                result.note(f"{point[0]} slices, {point[1]} classes: {error}")
                del costs[point]
                continue
            costs[point].append(cost)
            reports[point].append(report)
    taken = {point: (median(runs, "process_seconds"), median(runs, "peak_mib")) for point, runs in costs.items()}
    by_slices = {n: taken[n, 5] for n in slices if (n, 5) in taken}
    by_classes = {n: taken[middle, n] for n in classes if (middle, n) in taken}
    fits = {
        f"{what} against {name}": fit(list(along), [each[index] for each in along.values()])
        for name, along in (("slices", by_slices), ("classes", by_classes))
        for index, what in enumerate(("seconds", "MiB"))
        if len(along) > 1
    }
    rows = [(*point, seconds, round(mib)) for point, (seconds, mib) in taken.items()]
    result.tables.append(("medians", _COLUMNS, rows))
    result.tables.append(("linear fits", ("of", "offset", "slope", "R2"), [(n, *f.values()) for n, f in fits.items()]))
    if by_classes.keys() >= {classes[0], classes[-1]}:
        ratio = by_classes[classes[-1]][1] / by_classes[classes[0]][1]
        result.facts["memory_ratio_of_classes"] = ratio
        result.tables.append(("memory", ("of", "is"), [(f"{classes[-1]} classes / {classes[0]}", ratio)]))
    result.facts |= {
        "points": [
            {
                "slices": point[0],
                "classes": point[1],
                "runs": [asdict(cost) for cost in costs[point]],
                "stages": stage_medians(reports[point]),
            }
            for point in costs
        ],
        "fits": fits,
    }
    return result


def fit(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """Fit a straight line; return its offset, slope and coefficient of determination."""
    slope, offset = np.polyfit(x, y, 1)
    left = np.asarray(y) - (offset + slope * np.asarray(x))
    whole = np.asarray(y) - np.mean(y)
    unexplained = float(left @ left) / float(whole @ whole) if whole.any() else 0.0
    return {"offset": float(offset), "slope": float(slope), "r2": 1 - unexplained}


def _once(setting: Setting, folder: Path, slices: int, classes: int) -> tuple[Cost, dict[str, Any]]:
    case = phantom(setting, slices)
    model = weights(setting, TINY if setting.quick else SMALL, classes)
    return segment(Source(["--input", case.dicom], case.nifti), model, folder)
