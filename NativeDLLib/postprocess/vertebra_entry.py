"""The entry of a ``vertebra_levels`` step: its check, and the segments that the step makes."""

from collections.abc import Mapping
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Made, Model


def check_levels(model: Model, settings: Mapping[str, Any], where: str) -> None:
    """Check that the step's classes are the network's, and its labels those of segments.

    Raises
    ------
    ModelError
        Naming the field after `where`.
    """
    channels = model.output_channels
    if channels is None:
        raise ModelError(f"{where}: output.channels is missing, vertebra_levels needs it")
    roles, made = list(settings["classes"].values()), made_levels(settings).labels
    if len(set(roles)) < len(roles) or max(roles) >= channels:
        raise ModelError(f"{where}.classes: must be different classes of the {channels} channels")
    if len(set(made)) < len(made) or min(made) < channels:
        raise ModelError(f"{where}: its labels must be different, and beyond the {channels} channels")
    unknown = set(made) - {segment.label for segment in model.segments}
    if unknown:
        raise ModelError(f"{where}: no segment has label {min(unknown)}")


def made_levels(settings: Mapping[str, Any]) -> Made:
    """Return the segments of vertebrae, with and without a level."""
    return Made(
        "Vertebrae (all levels)",
        "each vertebra with its level, or numbered from the top",
        labels=(*settings["levels"].values(), *settings["numbered"]),
        classes=(settings["classes"]["vertebra"], settings["classes"]["core"]),
    )
