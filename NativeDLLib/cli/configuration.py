"""Configuration files: which model runs on which device with which parameters, as people save it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.jsonfile import read_json

_CONFIGURATION = {"model": str, "device": str, "segmentation": str, "parameters": dict, "volume": list}

_KINDS = {str: "text", dict: "an object", list: "a list"}


def read_configuration(path: Path) -> dict[str, Any]:
    """Content of a configuration file; UsageError where anything in it is unknown or of the wrong kind."""
    data = read_json(path, UsageError)
    if not isinstance(data, dict):
        raise UsageError(f"{path}: must be an object with {', '.join(_CONFIGURATION)}")
    for key, value in data.items():
        if key not in _CONFIGURATION:
            raise UsageError(f"{path}: '{key[:64]}' is not known; there are {', '.join(_CONFIGURATION)}")
        if not isinstance(value, _CONFIGURATION[key]):
            raise UsageError(f"{path}: {key}: must be {_KINDS[_CONFIGURATION[key]]}")
    return data


def read_configuration_for(
    path: Path, models: Sequence[Mapping[str, Any]], current: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Content of a configuration file for one of the models that ``inspect`` reported. Its parameters are those of its
    model, or of `current` where it names none. UsageError where it is wrong, or asks for a value that the model does
    not take.
    """
    # The panel is loaded where nothing that the registry needs is installed yet.
    from NativeDLLib.registry.entry import Parameter
    from NativeDLLib.registry.parameters import checked_layer

    data = read_configuration(path)
    if not models:
        return data
    data = {"model": current["id"] if current else ""} | data
    model = next((model for model in models if model["id"] == data["model"]), None)
    if model is None:
        ids = ", ".join(model["id"] for model in models)
        raise UsageError(f"{path}: model '{data['model'][:64]}' is not in the registry; there are {ids}")
    if "parameters" in data:
        parameters = [Parameter(**parameter) for parameter in model["parameters"]]
        data["parameters"] = checked_layer(model["id"], parameters, str(path), data["parameters"])
    return data
