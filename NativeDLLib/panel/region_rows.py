"""The regions of a slice in the panel: plain rows of ``regions.json``, without a library to load.

`NativeDLLib.regions` checks the file against its schema before anything of it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from NativeDLLib.core.files import write_text

PROPOSED, VALIDATED, REJECTED = "proposed", "validated", "rejected"
# The cosine between a view and the slices: what is shown in a more oblique one is no slice.
_PARALLEL = 0.99


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return id, name, status, area (cm²) and points (RAS, mm) of each region in a file of ``nativedl regions``."""
    data = json.loads(path.read_text(encoding="utf-8"))
    names = {segment["number"]: segment["name"] for segment in data["segments"]}
    return [
        {
            "id": row["id"],
            "name": names[row["segment"]],
            "status": row["status"],
            "area_cm2": row["area_mm2"] / 100,
            "points": [(-x, -y, z) for x, y, z in row["points"]],
        }
        for row in data["regions"]
    ]


def decide(path: Path, ids: Collection[str], status: str) -> None:
    """Write down what became of regions."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for row in data["regions"]:
        row["status"] = status if row["id"] in ids else row["status"]
    write_text(path, json.dumps(data))


def shown_place(normal: Sequence[float], views: Sequence[Sequence[float]]) -> str | None:
    """Place of the shown slice as ``nativedl regions --slice`` takes it; None where none is shown.

    `normal` is that of the slices in RAS, `views` the matrix of each slice view to RAS mm, 16 numbers row by row.
    """
    for view in views:
        across = sum(view[4 * row + 2] * normal[row] for row in range(3))
        if abs(across) > _PARALLEL * sum(value * value for value in normal) ** 0.5:
            return f"{-view[3]:.4f},{-view[7]:.4f},{view[11]:.4f}"
    return None
