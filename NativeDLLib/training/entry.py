"""The registry entry of a trained model: its evaluation by the stages of a user's run, its card with pictures, and
putting it into a registry.
"""

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import KDTree

from NativeDLLib.core.arrays import Array, box_of
from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import atomic_path, sha256, write_json, write_text
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.postprocess.steps import made_segments
from NativeDLLib.registry import effective
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_registry
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.source import Series
from NativeDLLib.tools.tool import Machine
from NativeDLLib.training.cases import Example, examples
from NativeDLLib.training.config import Config
from NativeDLLib.training.export import FILES, FOLDER, SUFFIXES
from NativeDLLib.volumes.preview import write_preview

REGISTRY = "registry.json"


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
            known: dict[str, list[float]] = {}
            for segment in (segment for case in members for segment in case["segments"]):
                if segment[key] is not None:
                    known.setdefault(segment["name"], []).append(segment[key])
            row[key] = {segment: round(float(np.mean(values)), 3) for segment, values in known.items()}
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


def pictures_of(config: Config) -> dict[str, str]:
    """File names of a training's pictures, and the title of each."""
    rows = config.rows("pictures")
    return {f"{config.model.id}-{number}.png": row["name"] for number, row in enumerate(rows, 1)}


def take_pictures(model: Model, config: Config, device: str, folder: Path, progress: Progress) -> None:
    """Segment the series of the configuration's ``pictures`` and write a preview of each into a folder."""
    for row, name in zip(config.rows("pictures"), pictures_of(config), strict=True):
        series = Series.read([config.file(row["series"])], row.get("uid"))
        result = run_pipeline(model, series, effective(model), Machine(device), Progress(progress))
        with atomic_path(folder / name) as temporary:
            is_ct = series.text("Modality") == "CT"
            write_preview(temporary, result.image, result.labels, result.segments, is_ct=is_ct)


def card(config: Config, entry: Mapping[str, Any]) -> str:
    """Card of a trained model as Markdown, from its training and its registry entry."""
    weights, extra = entry["weights"], config.data.get("card", {})
    if "file" in weights:
        file = f"`{weights['file']}`, {weights['size']} bytes, SHA-256 `{weights['sha256']}`"
    else:
        file = ", ".join([f"`{weights['folder']}`", *(f"{n} SHA-256 `{sha}`" for n, sha in weights["files"].items())])
    found = [segment.name for segment in config.model.network_segments]
    found += [made.description for made in made_segments(config.model)]
    patch = " × ".join(str(n) for n in config.patch)
    spacing = " × ".join(f"{mm:g}" for mm in config.model.input.spacing or ())
    (low, high), (mean, std) = config.clip, (config.constants[name] for name in ("mean", "std"))
    rows = {
        "Finds": ", ".join(found),
        "File": file,
        "Network": f"nnU-Net's PlainConvUNet, {len(config.classes) + 1} output channels (the background first)",
        "Input": f"CT in {config.model.input.orientation} orientation at {spacing} mm (z, y, x), HU clipped to "
        f"[{low:g}, {high:g}], then (x - {mean:g}) / {std:g}; patches of {patch} voxels (z, y, x)",
        "Intended use": entry["intended_use"],
        "Licence": entry["license"],
    }
    lines = [f"# {entry['id']} {entry['version']}", "", entry["description"], ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    lines += ["", "## Trained on", "", *(f"- {text}" for text in extra.get("trained_on", ()))]
    # Paths may tell who a patient is: only what the rows are called is said.
    for row in config.rows("train"):
        lines.append(f"- {row['name']}" + (f": {row['phantoms']} random phantoms" if "phantoms" in row else ""))
    schedule = config.schedule
    lines += ["", f"{schedule.steps} steps of {schedule.batch} patches, seed {schedule.seed}."]
    if entry.get("evaluation"):
        lines += ["", "## Measured", "", "Through the stages that a user's series goes through.", ""]
        lines += ["| data | cases | segment | Dice | mean surface distance | 95 % Hausdorff distance |"]
        lines += ["|---|---|---|---|---|---|"]
        for row in entry["evaluation"]:
            for segment, dice in row["dice"].items():
                apart = [row[key].get(segment) for key in ("surface_mm", "hausdorff95_mm")]
                shown = " | ".join("-" if value is None else f"{value:.1f} mm" for value in apart)
                lines.append(f"| {row['data']} | {row['cases']} | {segment} | {dice:.3f} | {shown} |")
    if pictures := pictures_of(config):
        lines += ["", "## What it finds in series without labels", ""]
        lines += [line for file, name in pictures.items() for line in (f"{name}:", "", f"![{name}]({file})", "")][:-1]
    if extra.get("limits"):
        lines += ["", "## Where it fails", "", *(f"- {text}" for text in extra["limits"])]
    return "\n".join(lines) + "\n"


def write_entry(config: Config, folder: Path, evaluation: Sequence[Mapping[str, Any]] = ()) -> Model:
    """Write ``registry.json`` and model card beside the weights; ModelError where no registry takes the entry."""
    entry = dict(config.data["entry"])
    if config.model.runtime == "nnunetv2":
        entry["weights"] = {"folder": FOLDER, "files": {name: sha256(folder / FOLDER / name) for name in FILES}}
    else:
        path = folder / f"{config.model.id}{SUFFIXES[config.model.runtime]}"
        entry["weights"] = {"file": path.name, "sha256": sha256(path), "size": path.stat().st_size}
        entry["input"] = entry["input"] | {"axes": "zyx"}
        entry["output"] = entry["output"] | {"activation": "softmax"}
    if evaluation:
        entry["evaluation"] = [dict(row) for row in evaluation]
    entry["card"] = f"{config.model.id}.md"
    write_text(folder / entry["card"], card(config, entry))
    write_json(folder / REGISTRY, {"schema_version": "1.0", "models": [entry]})
    return load_registry(folder / REGISTRY)[0]


def publish(model: Model, registry: Path, pictures: Iterable[str] = ()) -> None:
    """Put a trained model into a registry file: weights, card and `pictures` into ``models`` beside it, and the entry.
    An older entry of the same id is replaced. ModelError where the registry cannot be read.
    """
    data: dict[str, Any] = {"schema_version": "1.0", "models": []}
    if registry.exists():
        load_registry(registry)
        data = read_json(registry, ModelError)
    source, target = model.registry.parent, registry.parent / "models"
    entry: dict[str, Any] = json.loads(json.dumps(dict(model.data)))
    kind = "folder" if model.weights.is_folder else "file"
    name, card_name = model.weights.place, str(model.data["card"])
    # Two models have folders of the same name.
    placed = name if kind == "file" else f"{model.id}/{name}"
    entry["weights"][kind], entry["card"] = f"models/{placed}", f"models/{card_name}"
    pairs = {card_name: card_name} | {picture: picture for picture in pictures}
    pairs |= {f"{name}/{file}": f"{placed}/{file}" for file in FILES} if kind == "folder" else {name: placed}
    for there, here in pairs.items():
        with atomic_path(target / here) as temporary:
            shutil.copyfile(source / there, temporary)
    entries = {other["id"]: other for other in data["models"]} | {model.id: entry}
    data["models"] = list(entries.values())
    write_json(registry, data)
    load_registry(registry)
