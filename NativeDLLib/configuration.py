"""Configuration files: which model runs on which device with which parameters, as people save it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from NativeDLLib.errors import UsageError
from NativeDLLib.jsonfile import read_json

_CONFIGURATION = {"model": str, "device": str, "segmentation": str, "parameters": dict}


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises
    ------
    UsageError
        Where it is not an object, or something in it is unknown or of the wrong kind.
    """
    data = read_json(path, UsageError)
    if not isinstance(data, dict):
        raise UsageError(f"{path}: must be an object with {', '.join(_CONFIGURATION)}")
    for key, value in data.items():
        if key not in _CONFIGURATION:
            raise UsageError(f"{path}: '{key[:64]}' is not known; there are {', '.join(_CONFIGURATION)}")
        if not isinstance(value, _CONFIGURATION[key]):
            raise UsageError(f"{path}: {key}: must be {'text' if _CONFIGURATION[key] is str else 'an object'}")
    return data
