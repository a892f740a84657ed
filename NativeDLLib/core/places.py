"""Where the data files lie: beside the package in a source checkout or in Slicer, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path


def resources_folder() -> Path:
    """Return the folder that holds ``registry.json``, its schema and the bundled models."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "Resources"
    return inside if inside.is_dir() else package.parent / "Resources"
