"""Evaluation of a model on labelled cases, segmented by the stages of a user's run."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import KDTree

from NativeDLLib.core.arrays import Array, box_of
from NativeDLLib.core.progress import Progress
from NativeDLLib.postprocess.steps import made_segments
from NativeDLLib.registry import effective
from NativeDLLib.registry.entry import Model
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.tools.tool import Machine
from NativeDLLib.training.config import Config
from NativeDLLib.training.data import Example, examples


def score(found: Array, truth: Array, spacing: tuple[float, ...]) -> dict[str, float | None]:
    """Overlap ``dice`` of two masks (z, y, x), 1 where both are empty, and mean ``surface_mm`` and 95th percentile
    ``hausdorff95_mm`` of the distances of their surface voxels, None where one is empty; `spacing` (x, y, z) is in mm.
    All are rounded to three decimals.
    """
    a, b = found.astype(bool), truth.astype(bool)
    sizes = int(np.count_nonzero(a)), int(np.count_nonzero(b))
    if not all(sizes):
        return {"dice": 0.0 if any(sizes) else 1.0, "surface_mm": None, "hausdorff95_mm": None}
    dice = 2 * int(np.count_nonzero(a & b)) / sum(sizes)
    box = box_of(a | b)
    # Surface voxels have a neighbour outside the mask; beyond the array is outside.
    surfaces = [np.argwhere(mask[box] & ~ndimage.binary_erosion(mask[box])) * spacing[::-1] for mask in (a, b)]
    distances = np.concatenate([KDTree(to).query(of)[0] for of, to in (surfaces, surfaces[::-1])])
    mean, far = float(distances.mean()), float(np.percentile(distances, 95))
    return {"dice": round(dice, 3), "surface_mm": round(mean, 3), "hausdorff95_mm": round(far, 3)}


def evaluate(model: Model, config: Config, device: str, progress: Progress) -> list[dict[str, Any]]:
    """Measures of a model on the validation data of a training, a row a case: ``data`` (name of its row), ``seconds``,
    ``peak_mib``, ``device``, and for each segment ``dice``, ``surface_mm`` and ``hausdorff95_mm``.
    """
    rows, cases = config.rows("validate"), list[dict[str, Any]]()
    for index, row in enumerate(rows):
        for number, example in enumerate(examples(config, row, progress)):
            cases.append(_measure(model, example, device, progress))
            progress.update("evaluate", (index + (number + 1) / row.get("phantoms", 1)) / len(rows))
    return cases


def _measure(model: Model, example: Example, device: str, progress: Progress) -> dict[str, Any]:
    started, quiet = time.perf_counter(), Progress(progress)
    result = run_pipeline(model, example.source, effective(model), Machine(device), quiet)
    seconds = time.perf_counter() - started
    target = sitk.Resample(example.target, result.labels, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    truth, found = sitk.GetArrayViewFromImage(target), sitk.GetArrayViewFromImage(result.labels)
    segments = []
    rows = [(segment.name, [segment.label], [segment.label]) for segment in model.network_segments]
    # The truth of most cases does not tell vertebrae apart.
    rows += [(made.name, list(made.labels), list(made.classes)) for made in made_segments(model)]
    for name, labels, classes in rows:
        numbers = [segment.number for segment in result.segments if segment.label in labels]
        measures = score(np.isin(found, numbers), np.isin(truth, classes), result.labels.GetSpacing())
        segments.append({"name": name, **measures})
    peak = max(stage.peak_mib for stage in quiet.stages)
    costs = {"device": result.facts["device"], "seconds": round(seconds, 2), "peak_mib": round(peak)}
    return {"data": example.name, "segments": segments, **costs}


def summary(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Evaluation rows of a registry entry: means by segment over the cases of each row of the data."""
    rows = []
    for name in dict.fromkeys(case["data"] for case in cases):
        members = [case for case in cases if case["data"] == name]
        row: dict[str, Any] = {"data": name, "cases": len(members)}
        for key in ("dice", "surface_mm", "hausdorff95_mm"):
            means = {}
            for segment in dict.fromkeys(s["name"] for case in members for s in case["segments"]):
                values = [s[key] for case in members for s in case["segments"] if s["name"] == segment]
                known = [value for value in values if value is not None]
                if known:
                    means[segment] = round(float(np.mean(known)), 3)
            row[key] = means
        row["hardware"] = members[0]["device"]
        row["seconds"] = round(float(np.mean([case["seconds"] for case in members])), 3)
        row["memory_mib"] = max(case["peak_mib"] for case in members)
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Summary for a person, a line a segment."""
    lines = [f"{'data':<48}{'segment':<24}{'Dice':>7}{'surface':>10}{'95 %':>10}"]
    for row in rows:
        for segment, dice in row["dice"].items():
            mean, far = (row[key].get(segment) for key in ("surface_mm", "hausdorff95_mm"))
            apart = "".join("         -" if value is None else f"{value:7.1f} mm" for value in (mean, far))
            lines.append(f"{row['data'][:46]:<48}{segment[:22]:<24}{dice:7.3f}{apart}")
    return lines
