"""The table of the postprocessing steps that a registry entry may list.

It is read with every registry, also where neither NumPy nor SimpleITK is needed: the functions are found by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, cast

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Made, Model

Settings = Mapping[str, Any]


def check_levels(model: Model, settings: Settings, where: str) -> None:
    """Check that the step's classes are the network's, and its labels those of segments; ModelError names the field."""
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


def made_levels(settings: Settings) -> Made:
    """Return the segments of vertebrae, with and without a level."""
    return Made(
        "Vertebrae (all levels)",
        "each vertebra with its level, or numbered from the top",
        labels=(*settings["levels"].values(), *settings["numbered"]),
        classes=(settings["classes"]["vertebra"], settings["classes"]["core"]),
    )


def _ct_only(model: Model, settings: Settings, where: str) -> None:
    if model.input.modality != "CT":
        raise ModelError(f"{where}: is for CT, where bone has its Hounsfield units")


@dataclass(frozen=True)
class Step:
    """A postprocessing step. Those on the network's classes come first, in the order of the table, each once; the
    others work on Segment Numbers, in the order of the entry. `check` raises ModelError where a model and the step's
    settings do not go together.
    """

    module: str  # of this room; its function of the step's name takes a `State` and the entry's settings as keywords
    about: str  # one line for the manual
    on_classes: bool = False
    check: Callable[[Model, Settings, str], None] = lambda model, settings, where: None
    makes: Callable[[Settings], Made] | None = None  # segments that it makes of the network's classes


STEPS: Mapping[str, Step] = {
    "away_from_skull": Step(
        "cleaning",
        "Leaves out what lies at a skull, or less than `distance_mm` above or below it.",
        on_classes=True,
        check=_ct_only,
    ),
    "needs_bone": Step(
        "cleaning",
        "Leaves out everything in images of a test object: less than `least_percent` of the body is bone.",
        on_classes=True,
        check=_ct_only,
    ),
    "vertebra_levels": Step(
        "vertebrae",
        "Makes a segment of each vertebra, named by its level or numbered from the top of the image.",
        on_classes=True,
        check=check_levels,
        makes=made_levels,
    ),
    "keep_largest": Step("cleaning", "Keeps the largest connected part of each segment."),
    "remove_small": Step("cleaning", "Removes connected parts of less than `min_ml` mL from each segment."),
    "fill_holes": Step("cleaning", "Fills the background that a segment encloses in three dimensions."),
}


def function_of(name: str) -> Callable[..., None]:
    """Return the function of a step, whose module is imported now."""
    return cast("Callable[..., None]", resolve_name(f"{__package__}.{STEPS[name].module}:{name}"))


def made_segments(model: Model) -> list[Made]:
    """Return the segments of a model that its steps make of the network's classes."""
    steps = [(STEPS[row.step], row.settings) for row in model.postprocessing]
    return [step.makes(settings) for step, settings in steps if step.makes is not None]


def check_steps(model: Model, where: str) -> None:
    """Check that a model's steps are in order, and go with its entry; ModelError names what is wrong after `where`."""
    given = {row.step for row in model.postprocessing}
    first = [name for name, step in STEPS.items() if step.on_classes and name in given]
    labels = {segment.label for segment in model.segments}
    for index, row in enumerate(model.postprocessing):
        place, step = f"{where}.postprocessing[{index}]", STEPS[row.step]
        if step.on_classes and first[index : index + 1] != [row.step]:
            raise ModelError(f"{place}: {row.step} is out of place; the first steps are {', '.join(first)}")
        unknown = set(row.settings.get("labels", ())) - labels
        if unknown:
            raise ModelError(f"{place}.labels: no segment has label {min(unknown)}")
        step.check(model, row.settings, place)
    made = {label for segments in made_segments(model) for label in segments.labels}
    largest = max(labels - made, default=0)
    if model.output_channels is not None and largest >= model.output_channels:
        raise ModelError(f"{where}.output: label {largest} is beyond the {model.output_channels} channels")
