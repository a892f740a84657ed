"""The table of structures: their names in models, codes and colours, and how large each may be."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.places import resources_folder


@cache
def structures() -> list[dict[str, Any]]:
    """Rows of the table."""
    rows: list[dict[str, Any]] = read_json(resources_folder() / "structures.json", ModelError)["structures"]
    return rows


def plausible_of(type_: Mapping[str, Any], modifier: Mapping[str, Any] | None) -> dict[str, Any]:
    """Plausible values of the structure that has these codes, as in a registry entry; none where it is not known."""
    return _plausible().get((type_.get("scheme"), type_.get("value"), modifier and modifier.get("value")), {})


@cache
def _plausible() -> dict[tuple[Any, ...], dict[str, Any]]:
    return {
        (row["type"]["scheme"], row["type"]["value"], row.get("type_modifier", {}).get("value")): row["plausible"]
        for row in structures()
        if "plausible" in row
    }
