"""The registry entry of a trained model, its card with pictures, and putting them into a registry."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from NativeDLLib.training.config import Config
from NativeDLLib.training.export import FILES, FOLDER, SUFFIXES
from NativeDLLib.volumes.preview import write_preview

REGISTRY = "registry.json"


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
    spacing = " × ".join(f"{mm:g}" for mm in config.contract.spacing or ())
    low, high = config.clip
    rows = {
        "Finds": ", ".join(found),
        "File": file,
        "Network": f"nnU-Net's PlainConvUNet, {len(config.classes) + 1} output channels (the background first)",
        "Input": f"CT in {config.contract.orientation} orientation at {spacing} mm (z, y, x), HU clipped to "
        f"[{low:g}, {high:g}], then (x - {config.mean:g}) / {config.std:g}; patches of {patch} voxels (z, y, x)",
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
