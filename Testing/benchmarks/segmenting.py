"""From an image to its segmentation: `nativedl run`, alone and beside nnU-Net's own prediction with the same folder."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from benchmarks.compare import Comparison, Result, Setting, in_turn
from benchmarks.measure import Cost
from benchmarks.networks import AROUND_BODY, MODEL, Weights
from benchmarks.programs import fresh, nativedl, nnunet, stages

_SAME_PLACE_MM = 0.01


@dataclass(frozen=True)
class Source:
    """What is segmented: the options that name it to ours, and the folder that holds it for nnU-Net."""

    options: Sequence[object]
    nifti: Path


def segment(
    source: Source, weights: Weights, folder: Path, device: str = "cpu", model: str = MODEL
) -> tuple[Cost, dict[str, Any]]:
    """Run ours; return what it took and its report.

    In the same folder it finds what an earlier run measured of the network (see `NativeDLLib.inference.cpu_backend`).
    """
    shutil.rmtree(folder / "out", ignore_errors=True)
    options = [*source.options, "--model", model, "--device", device, "--output", folder / "out"]
    cost = nativedl("run", *options, folder=folder, environment={"NATIVEDL_REGISTRY": str(weights.registry)})
    return cost, json.loads((folder / "out" / "report.json").read_text())


def beside_nnunet(name: str, case: str, source: Source, weights: Weights, setting: Setting, device: str) -> Result:
    """Run ours and nnU-Net in turn; compare what they took, and their labels."""
    result, folder, reports = Result(), fresh(setting.folder / "runs" / name), []

    def ours(_: int) -> Cost:
        cost, report = segment(source, weights, folder / "ours", device)
        reports.append(report)
        return cost

    def theirs(_: int) -> Cost:
        return nnunet(weights.folder, source.nifti, fresh(folder / "nnunet"), device)

    own, peers = in_turn(ours, {"nnU-Net": theirs}, setting.runs, result)
    # The first run measures how the network is run the fastest, once for all.
    later = slice(1, None) if len(reports) > 1 else slice(None)
    parts = stage_medians(reports[later])
    seconds = statistics.median(cost.process_seconds for cost in own[later])
    pairs = list(zip(reports[later], own[later], strict=True))
    result.facts = {
        "stages": parts,
        "first_seconds": own[0].process_seconds,
        "later_seconds": seconds,
        "forward_share": statistics.median(report["forward_seconds"] / cost.process_seconds for report, cost in pairs),
        "infer_share": statistics.median(
            stages(report)["infer"]["seconds"] / cost.process_seconds for report, cost in pairs
        ),
    }
    rows: list[list[object]] = [[part, took["seconds"], round(took["peak_mib"])] for part, took in parts.items()]
    staged = sum(took["seconds"] for took in parts.values())
    rows.append(["start and end", seconds - staged, ""])
    rows.append(["all", seconds, ""])
    rows.append(["first run, which measures how the network is run the fastest", own[0].process_seconds, ""])
    result.tables.append(("our stages (median, without the first run)", ("stage", "seconds", "peak MiB"), rows))
    shares: list[tuple[str, float]] = [(k, v) for k, v in result.facts.items() if k.endswith("share")]
    for peer, costs in peers.items():
        facts = compare_labels(folder / "ours" / "out" / "segmentation.nii.gz", folder / "nnunet" / "case.nii.gz")
        shares += list(facts.items())
        result.comparisons.append(Comparison(case, peer, own, costs, facts=facts))
        around, _ = segment(source, weights, folder / "ours", device, AROUND_BODY)
        same = compare_labels(folder / "ours" / "out" / "segmentation.nii.gz", folder / "nnunet" / "case.nii.gz")
        result.facts["around_body"] = {"seconds": around.process_seconds, **same}
        rows.append(["once with patches around the body alone", around.process_seconds, round(around.peak_mib)])
        shares += [(f"{name}, patches around the body", value) for name, value in same.items() if "equal" in name]
    result.tables.append(("fractions", ("of", "is"), shares))
    return result


def stage_medians(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the median time and memory of each stage over several runs."""
    taken = [stages(report) for report in reports]
    return {
        name: {key: statistics.median(each[name][key] for each in taken) for key in ("seconds", "peak_mib")}
        for name in taken[0]
    }


def compare_labels(ours: Path, theirs: Path) -> dict[str, float]:
    """Return which fraction of all voxels, and of those of any label in either, has the same label."""
    first, second = sitk.ReadImage(str(ours)), sitk.ReadImage(str(theirs))
    assert first.GetSize() == second.GetSize(), f"{ours} and {theirs} are not on the same grid"
    for corner in ((0, 0, 0), tuple(n - 1 for n in first.GetSize())):
        places = (image.TransformIndexToPhysicalPoint(corner) for image in (first, second))
        assert np.abs(np.subtract(*places)).max() < _SAME_PLACE_MM, f"{ours} and {theirs} are not on the same grid"
    a, b = (sitk.GetArrayFromImage(image) for image in (first, second))
    labelled = (a > 0) | (b > 0)
    equal = a == b
    return {
        "equal_labels": float(equal.mean()),
        "equal_labels_of_labelled": float(equal[labelled].mean()) if labelled.any() else 1.0,
        "labelled": float(labelled.mean()),
        "labels_found": float(len(np.unique(a)) - 1),
    }
