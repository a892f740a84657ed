"""``regions.json``: the regions of a series in a file that the panel shows and a physician's decisions go into."""

from __future__ import annotations

import json
from pathlib import Path

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import write_text
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.regions.region import RegionSet

# About three million points: a whole body.
_LARGEST = 128 * 2**20


def write_regions(path: Path, regions: RegionSet) -> None:
    """Write regions, atomically."""
    data = regions.as_json()
    rows = ",\n  ".join(json.dumps(row) for row in data.pop("regions"))
    head = json.dumps(data, indent=1)[: -len("\n}")]
    write_text(path, f'{head},\n "regions": [\n  {rows}\n ]\n}}\n')


def read_regions(path: Path) -> RegionSet:
    """Regions in a file; InputError where it is missing, or not as ``Resources/regions.schema.json`` asks."""
    data = read_json(path, InputError, _LARGEST)
    check_schema(data, "regions.schema.json", path, InputError, "regions")
    try:
        return RegionSet.from_json(data)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
