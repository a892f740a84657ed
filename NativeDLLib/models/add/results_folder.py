"""An nnU-Net results folder: labels, spacing, patch, normalisation and folds of its model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.jsonfile import problem_of
from NativeDLLib.inference import nnunet_files
from NativeDLLib.inference.network import require
from NativeDLLib.inference.nnunet_files import Checkpoint
from NativeDLLib.models.add.draft import STEP, Draft, Place, identifier, printable

_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PT": "PT", "PET": "PT"}
_FIXED: tuple[Place, ...] = tuple(("input", name) for name in ("spacing", "patch_size", "intensity", "orientation"))
_MIRROR = {
    **{"name": "mirror", "type": "boolean", "default": True, "label": "Test-time flips"},
    "help": "Average over flipped copies of each patch, as nnU-Net does; takes several times as long.",
}


def read_results_folder(path: Path, wanted: Sequence[str] | None) -> Draft:
    """Read a results folder (``Trainer__Plans__configuration``), or the only one in a folder; see `read_source`."""
    require("torch", "nnunet")
    folder = _results_folder(path)
    # Links, as Hugging Face makes them, are followed to files, and never to devices.
    if not (folder / "dataset.json").is_file():
        raise ModelError(f"{folder / 'dataset.json'}: is not there")
    plans, dataset = nnunet_files.read_plans(folder, lambda name: (folder / name).read_bytes())
    name = next((name for name in _CHECKPOINTS if any(folder.glob(f"fold_*/{name}"))), _CHECKPOINTS[0])
    chosen = None if wanted is None else [int(fold) if fold.isdecimal() else fold for fold in wanted]
    checkpoints = nnunet_files.find_folds(folder, chosen, name)
    files = {"plans.json": folder / "plans.json", "dataset.json": folder / "dataset.json"}
    files |= {f"{file.parent.name}/{name}": file for file in checkpoints}
    checkpoint = nnunet_files.load_checkpoint(checkpoints[0].read_bytes(), checkpoints[0])
    try:
        draft = _draft(folder, plans, dataset, checkpoint, files)
    # Both files are free-form JSON: a missing or misplaced key surfaces as any of these.
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        told = "plans.json or dataset.json lacks a field, or has it in another form than nnU-Net writes"
        raise ModelError(f"{folder}: is not an nnU-Net results folder that can be read: {told}") from error
    folds = [file.parent.name.removeprefix("fold_") for file in checkpoints]
    weights: dict[str, Any] = {"folds": [int(fold) if fold.isdecimal() else fold for fold in folds]}
    draft.entry["weights"] = weights | ({} if name == _CHECKPOINTS[0] else {"checkpoint": name})
    draft.told.insert(0, f"nnU-Net {checkpoint.configuration}, fold(s) {', '.join(folds)}, {name}")
    return draft


def _results_folder(path: Path) -> Path:
    if (path / "plans.json").is_file():
        return path
    below = sorted(file.parent for file in path.glob("*/plans.json"))
    if len(below) > 1:
        names = ", ".join(folder.name for folder in below)
        raise UsageError(f"{path}: holds {len(below)} results folders ({names}); name the one to be added")
    if not below:
        raise UsageError(f"{path}: is no nnU-Net results folder: it has no plans.json, and none is one level below")
    return below[0]


def _draft(folder: Path, plans: Any, dataset: Any, checkpoint: Checkpoint, files: Mapping[str, Path]) -> Draft:
    configuration = _configuration(plans["configurations"], checkpoint.configuration)
    # Of older plans nnU-Net has to make what can be checked, when the model is tried.
    if "architecture" in configuration:
        nnunet_files.check_configuration(folder, configuration)
    (channel,) = (str(name) for name in dataset.get("channel_names", dataset.get("modality")).values())
    told: list[str] = []
    title = printable(str(plans.get("dataset_name") or folder.parent.name))
    mirrors = bool(checkpoint.mirror_axes)
    entry: dict[str, Any] = {
        **{"id": identifier(title), "version": "1.0.0", "runtime": "nnunetv2"},
        "description": f"nnU-Net of {title[:60]}, configuration {checkpoint.configuration}.",
        "input": _input(plans, configuration, channel, told),
        "sliding_window": {"step": {"parameter": "step"}} | ({"mirror": {"parameter": "mirror"}} if mirrors else {}),
        "output": {"segments": _segments(folder, dataset, told)},
        "parameters": [STEP, _MIRROR] if mirrors else [STEP],
    }
    draft = Draft(entry, dict(files), folder, told=told)
    if orientation := nnunet_files.stored_orientation(plans):
        draft.put(("input", "orientation"), orientation)
        told.append(f"orientation {orientation}, into which nnU-Net's reader of this model turns images")
    draft.fixed = [place for place in _FIXED if draft.at(place) is not None]
    draft.offers[("title",)] = title[:64]
    if not nnunet_files.keeps_network(checkpoint.trainer):
        draft.offers[("trainer",)] = checkpoint.trainer
    return draft


def _configuration(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with what it inherits."""
    own = configurations[name]
    # One that inherits from itself ends in a RecursionError, which is told as other damage is.
    return _configuration(configurations, own["inherits_from"]) | own if "inherits_from" in own else dict(own)


def _input(plans: Mapping[str, Any], configuration: Mapping[str, Any], channel: str, told: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {"channels": [{"name": channel}]}
    if channel.upper() in _MODALITIES:
        result["modality"] = _MODALITIES[channel.upper()]
    spacing, patch = list(configuration["spacing"]), list(configuration["patch_size"])
    told.append(f"spacing {' x '.join(f'{mm:g}' for mm in spacing)} mm, patch {' x '.join(f'{n:d}' for n in patch)}")
    if len(spacing) == 3:
        # Plans count axes as nnU-Net's transposition left them; entries as they are in the image.
        back = plans.get("transpose_backward", [0, 1, 2])
        result["spacing"] = [spacing[axis] for axis in back]
        result["patch_size"] = [patch[axis] for axis in back]
    (scheme,) = configuration["normalization_schemes"]
    told.append(f"normalisation {scheme}, done by nnU-Net")
    if scheme == "CTNormalization":
        statistics = plans.get("foreground_intensity_properties_per_channel")
        values = (statistics or plans["foreground_intensity_properties_by_modality"])["0"]
        clip = [values["percentile_00_5"], values["percentile_99_5"]]
        normalization = {"mean": values["mean"], "std": values["std"]}
        result["intensity"] = {"clip": clip, "normalization": normalization}
    elif scheme in ("ZScoreNormalization", "NoNormalization"):
        result["intensity"] = {"normalization": "image" if scheme == "ZScoreNormalization" else "none"}
    return result


def _segments(folder: Path, dataset: Mapping[str, Any], told: list[str]) -> list[dict[str, Any]]:
    for name in dataset["labels"]:
        problem = problem_of(name, "registry.schema.json", "/$defs/output/properties/segments/items/properties/name")
        if problem:
            raise ModelError(f"{folder}: dataset.json: labels: {problem}")
    labels = {str(name): value for name, value in dataset["labels"].items() if name not in ("background", "ignore")}
    if not any(isinstance(value, list) and len(value) > 1 for value in labels.values()):
        values = {name: value[0] if isinstance(value, list) else value for name, value in labels.items()}
        return [{"label": int(value), "name": name} for name, value in values.items() if value != 0]
    # Regions overlap and are written one over the other: what has a label at the end is not what any region is.
    order = dataset["regions_class_order"]
    for (name, value), label in zip(labels.items(), order, strict=True):
        told.append(f"label {int(label)} is what is in {name!r} ({value}) and in no region written after it")
    return [{"label": int(label)} for label in order]
