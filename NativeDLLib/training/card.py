"""The model card: what a model is, learnt from, is worth, and is not for."""

from collections.abc import Mapping
from typing import Any

from NativeDLLib.postprocess.steps import made_segments
from NativeDLLib.training.config import Config
from NativeDLLib.training.pictures import pictures_of


def card(config: Config, entry: Mapping[str, Any]) -> str:
    """Card of a trained model as Markdown, from its training and its registry entry."""
    weights, extra = entry["weights"], config.data.get("card", {})
    found = [segment.name for segment in config.model.network_segments]
    found += [made.description for made in made_segments(config.model)]
    names = ", ".join(found)
    patch = " × ".join(str(n) for n in config.patch)
    spacing = " × ".join(f"{mm:g}" for mm in config.contract.spacing or ())
    low, high = config.clip
    rows = {
        "Finds": names,
        "File": _file(weights),
        "Network": f"nnU-Net's PlainConvUNet, {len(config.classes) + 1} output channels (the background first)",
        "Input": f"CT in {config.contract.orientation} orientation at {spacing} mm (z, y, x), HU clipped to "
        f"[{low:g}, {high:g}], then (x - {config.mean:g}) / {config.std:g}; patches of {patch} voxels (z, y, x)",
        "Intended use": entry["intended_use"],
        "Licence": entry["license"],
    }
    lines = [f"# {entry['id']} {entry['version']}", "", entry["description"], ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    lines += ["", "## Trained on", "", *_items([*extra.get("trained_on", ()), *_data(config)])]
    schedule = config.schedule
    lines += ["", f"{schedule.steps} steps of {schedule.batch} patches, seed {schedule.seed}."]
    if entry.get("evaluation"):
        lines += ["", "## Measured", "", "Through the stages that a user's series goes through.", ""]
        lines += ["| data | cases | segment | Dice | mean surface distance | 95 % Hausdorff distance |"]
        lines += ["|---|---|---|---|---|---|", *_measured(entry)]
    pictures = pictures_of(config)
    if pictures:
        lines += ["", "## What it finds in series without labels", ""]
        lines += [line for file, name in pictures.items() for line in (f"{name}:", "", f"![{name}]({file})", "")][:-1]
    if extra.get("limits"):
        lines += ["", "## Where it fails", "", *_items(extra["limits"])]
    return "\n".join(lines) + "\n"


def _file(weights: Mapping[str, Any]) -> str:
    if "file" in weights:
        return f"`{weights['file']}`, {weights['size']} bytes, SHA-256 `{weights['sha256']}`"
    return f"`{weights['folder']}`, " + ", ".join(f"{name} SHA-256 `{sha}`" for name, sha in weights["files"].items())


def _data(config: Config) -> list[str]:
    # Paths may tell who a patient is: only what the rows are called is said.
    rows = config.rows("train")
    return [f"{row['name']}: {row['phantoms']} random phantoms" if "phantoms" in row else row["name"] for row in rows]


def _measured(entry: Mapping[str, Any]) -> list[str]:
    lines = []
    for row in entry["evaluation"]:
        for segment, dice in row["dice"].items():
            apart = [row[key].get(segment) for key in ("surface_mm", "hausdorff95_mm")]
            shown = " | ".join("-" if value is None else f"{value:.1f} mm" for value in apart)
            lines.append(f"| {row['data']} | {row['cases']} | {segment} | {dice:.3f} | {shown} |")
    return lines


def _items(texts: list[str]) -> list[str]:
    return [f"- {text}" for text in texts]
