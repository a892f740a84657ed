"""Trainings small enough to end in seconds: bright balls in noise, and the configurations that learn them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from factories import entry

SPACING = 3.0


@dataclass(frozen=True)
class PatchTask:
    """Settings that shape patches; see `NativeDLLib.training.config.Config`."""

    patch: tuple[int, int, int] = (16, 32, 32)
    clip: tuple[float, float] = (-200.0, 300.0)
    mean: float = 50.0
    std: float = 100.0
    mirror: bool = False
    vary_shape: bool = False
    synthesis: float = 0.2
    slabs: float = 0.45
    reflect: bool = False

    @property
    def constants(self) -> dict[str, float]:
        return {"mean": self.mean, "std": self.std}


def ball(
    seed: int, size: tuple[int, int, int] = (32, 36, 40), *, brightness: float = 200.0
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Return soft tissue with a bright ball somewhere in it (HU, (z, y, x)), and where that is."""
    rng = np.random.default_rng(seed)
    centre = [rng.uniform(0.35, 0.65) * n for n in size]
    place = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
    inside = np.linalg.norm(place - centre, axis=-1) < rng.uniform(7, 9)
    hu = np.where(inside, brightness, 20.0) + rng.normal(0, 10, size)
    return hu.astype(np.int16), inside.astype(np.uint8)


def image_of(values: npt.NDArray[Any], spacing: float = SPACING) -> sitk.Image:
    """Return an array (z, y, x) as an image in LPS orientation."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((spacing,) * 3)
    image.SetOrigin((-50.0, -40.0, 30.0))
    return image


def write_ball(folder: Path, seed: int, value: int = 1, **look: Any) -> dict[str, Any]:
    """Write a ball and its labels as NIfTI, and return the row of a configuration's data."""
    folder.mkdir(parents=True, exist_ok=True)
    hu, labels = ball(seed, **look)
    sitk.WriteImage(image_of(hu), folder / f"ct{seed}.nii.gz")
    sitk.WriteImage(image_of(labels * np.uint8(value)), folder / f"labels{seed}.nii.gz")
    return {"image": f"ct{seed}.nii.gz", "labels": f"labels{seed}.nii.gz", "map": {str(value): 1}}


def ball_entry(**changes: Any) -> dict[str, Any]:
    """Return the entry of a training that finds balls."""
    result = entry(
        id="ball", title="Ball", description="Finds balls.", postprocessing=[{"step": "keep_largest"}], parameters=[]
    )
    result |= {"sliding_window": {}, "intended_use": "Tests."}
    result["input"] = result["input"] | {
        "spacing": [SPACING] * 3,
        "patch_size": [16, 16, 16],
        "intensity": {"clip": [-200, 400], "normalization": {"mean": 50, "std": 100}},
    }
    del result["weights"], result["input"]["axes"], result["output"]["activation"]
    return result | changes


def content(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write data into a folder, and return the content of a configuration that learns it."""
    rows = [write_ball(folder, seed) for seed in (1, 2)]
    result: dict[str, Any] = {
        "entry": ball_entry(),
        "classes": {"1": "Liver"},
        "data": {"train": rows, "validate": [write_ball(folder, 3) | {"name": "Another ball"}]},
        "network": {"features": [8, 16, 16], "convolutions": 1, "decoder_convolutions": 1},
        "schedule": {"steps": 6, "learning_rate": 0.01},
        "threads": 1,
    }
    return result | changes


def without_export(folder: Path, **changes: Any) -> Path:
    """Write a configuration that makes the nnU-Net folder only: exporting takes longer than learning."""
    return write_config(folder, entry=ball_entry(runtime="nnunetv2"), outputs=[], **changes)


def write_config(folder: Path, **changes: Any) -> Path:
    """Write data and a configuration into a folder."""
    path = folder / "training.json"
    path.write_text(json.dumps(content(folder, **changes)))
    return path
