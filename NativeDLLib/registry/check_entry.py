"""The checks of a registry entry that its schema cannot make."""

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.parameters import checked

NO_OVERLAP = (
    "structures that overlap cannot be kept in one label map; where they exclude each other it is largest, and a voxel "
    "of several channels is of the one with the largest value"
)


def check_entry(model: Model, where: str) -> None:
    """Raise ModelError that names, after `where`, what is wrong first in an entry that passed the schema."""
    for check in _CHECKS:
        check(model, where)


def _segments(model: Model, where: str) -> None:
    for name in ("label", "name"):
        if len({getattr(segment, name) for segment in model.segments}) < len(model.segments):
            raise ModelError(f"{where}.output.segments: two segments have the same {name}")
    for index, segment in enumerate(model.segments):
        _rising(segment.plausible.volume_ml, f"{where}.output.segments[{index}].plausible.volume_ml")


def _steps(model: Model, where: str) -> None:
    # The steps' room is below this one.
    resolve_name("NativeDLLib.postprocess.steps:check_steps")(model, where)


def _input(model: Model, where: str) -> None:
    given = model.data["input"]
    for index, (channel, row) in enumerate(zip(model.input.channels, given["channels"], strict=True)):
        own = f".channels[{index}]" if "intensity" in row else ""
        _rising(channel.clip, f"{where}.input{own}.intensity.clip")
        if model.runtime == "nnunetv2" and len(row) > 1:
            raise ModelError(f"{where}.input.channels[{index}]: series and intensity are for torch and onnx")
        if model.runtime != "nnunetv2" and not own and "intensity" not in given:
            raise ModelError(f"{where}.input.intensity: is missing, and channels[{index}] has none of its own")
    if model.runtime != "nnunetv2" and model.input.orientation is None:
        raise ModelError(f"{where}.input.orientation: stored is for nnunetv2; name the axes, as in LPS")
    if model.runtime == "nnunetv2" and model.input.axes is not None:
        raise ModelError(f"{where}.input.axes: is for torch and onnx; nnU-Net's plans say it for their network")


def _output(model: Model, where: str) -> None:
    if model.runtime == "nnunetv2" and model.activation:
        raise ModelError(f"{where}.output.activation: is for torch and onnx; nnU-Net's dataset.json says it")
    if model.activation == "sigmoid" and model.least_channels > 2 and "overlap" not in model.data["output"]:
        raise ModelError(f"{where}.output.overlap: is missing; {NO_OVERLAP}")


def _rising(bounds: tuple[float, float] | None, place: str) -> None:
    if bounds is not None and bounds[0] >= bounds[1]:
        raise ModelError(f"{place}: the lower bound is not below the upper")


def _architecture(model: Model, where: str) -> None:
    if model.architecture is None:
        return
    # Imported where it is used: the panel lists models before NumPy is installed.
    from NativeDLLib.registry.architecture import make_plan

    try:
        shapes = make_plan(model.architecture).passed
    except ModelError as error:
        raise ModelError(f"{where}.architecture: {error}") from error
    taken, patch = model.architecture["input_shape"], model.input.patch_size
    assert patch is not None
    # A network for slices is given them one by one.
    sizes = tuple(patch[axis] for axis in model.input.array_axes)[4 - len(taken) :]
    if taken[0] != len(model.input.channels):
        message = f"{where}.architecture.input_shape: is for {taken[0]} channels, input.channels names another number"
        raise ModelError(message)
    if tuple(taken[1:]) != sizes:
        raise ModelError(f"{where}.architecture.input_shape: {taken[1:]} is not the patch_size {list(sizes)}")
    if shapes[-1][1:] != sizes:
        message = f"{where}.architecture: gives the shape {list(shapes[-1])}, not logits of the size of its input"
        raise ModelError(message)


def _defaults(model: Model, where: str) -> None:
    for index, parameter in enumerate(model.parameters):
        low, high = parameter.minimum, parameter.maximum
        place = f"{where}.parameters[{index}] ({parameter.name})"
        if low is not None and high is not None and low > high:
            raise ModelError(f"{place}: minimum {low:g} is above maximum {high:g}")
        try:
            checked(parameter, parameter.default)
        except ValueError as error:
            raise ModelError(f"{place}.default: {error}") from error


def _parameters(model: Model, where: str) -> None:
    kinds = {parameter.name: parameter.type for parameter in model.parameters}
    if len(kinds) < len(model.parameters):
        raise ModelError(f"{where}.parameters: two parameters have the same name")
    for place, setting, wanted in _settings(model):
        if isinstance(setting, Mapping):
            name = setting["parameter"]
            if name not in kinds:
                raise ModelError(f"{where}.{place}: there is no parameter '{name}'")
            if kinds[name] not in wanted:
                raise ModelError(f"{where}.{place}: parameter '{name}' is not of type {wanted[0]}")


def _settings(model: Model) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    yield "sliding_window.step", model.sliding_window.step, ("number",)
    for name in ("mirror", "skip_air", "around_body"):
        yield f"sliding_window.{name}", getattr(model.sliding_window, name), ("boolean",)
    yield "coarse.use", model.data.get("coarse", {}).get("use"), ("boolean",)
    for index, row in enumerate(model.postprocessing):
        yield f"postprocessing[{index}].enabled", row.enabled, ("boolean",)
        yield f"postprocessing[{index}].min_ml", row.settings.get("min_ml"), ("number", "integer")


def _window_step(model: Model, where: str) -> None:
    step = model.sliding_window.step
    values: list[float | None] = [] if isinstance(step, Mapping) else [step]
    if isinstance(step, Mapping):
        values = [n for p in model.parameters if p.name == step["parameter"] for n in (p.minimum, p.maximum)]
    if not all(value is not None and 0 < value <= 1 for value in values):
        raise ModelError(f"{where}.sliding_window.step: must be above 0 and at most 1")


def _card(model: Model, where: str) -> None:
    if model.card is not None and not model.card.is_file():
        raise ModelError(f"{where}.card: {model.card} does not exist")


_CHECKS = (_segments, _steps, _input, _output, _architecture, _defaults, _parameters, _window_step, _card)
