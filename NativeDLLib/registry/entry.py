"""A registry entry as the rest of the library sees it: checked, typed, immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3 section 8.8)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Plausible:
    """What is plausible for a segment; beyond it a result warns.

    Attributes
    ----------
    volume_ml
        Least and largest volume of the whole structure; None where nothing is known.
    side
        Where its centre lies in the body, in the letters R, L, A, P of Patient Orientation (PS3.3 C.7.6.1.1.1).
    cut_at
        Borders of the images at which it usually ends, in the same letters with H and F.
    """

    volume_ml: tuple[float, float] | None = None
    side: str = ""
    cut_at: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segment:
    """One segment of the output.

    Attributes
    ----------
    number
        Its Segment Number in the SEG and its value in label maps, from 1.
    label
        Its value in the network's output.
    color
        Recommended display colour, sRGB 0 to 255.
    plausible
        What a result is checked against.
    """

    number: int
    label: int
    name: str
    color: tuple[int, int, int]
    category: Code
    type: Code
    type_modifier: Code | None
    region: Code | None
    region_modifier: Code | None
    plausible: Plausible = Plausible()


@dataclass(frozen=True)
class Parameter:
    """Something the user may set."""

    name: str
    type: Literal["number", "integer", "boolean", "choice"]
    default: float | bool | str
    label: str
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class InputContract:
    """What a model wants to be given; lists of three are (z, y, x), spacing in mm.

    `padding` tells what continues an image with fewer slices than a patch: what stands for nothing, or its own slices,
    reflected.
    """

    modality: str
    body_parts: tuple[str, ...]
    keywords: tuple[str, ...]
    channels: tuple[str, ...]
    orientation: str | None
    spacing: tuple[float, float, float] | None
    clip: tuple[float, float] | None
    normalization: Mapping[str, float] | str
    patch_size: tuple[int, int, int] | None
    padding: Literal["constant", "reflect"] = "constant"


@dataclass(frozen=True)
class Coarse:
    """Another model that says where in an image this one is to look.

    Attributes
    ----------
    model
        The other one, which has none itself.
    segments
        Those of its segments around which this model looks.
    margin_mm
        How far around them.
    use
        Whether it is used, or the parameter that says so.
    """

    model: Model
    segments: tuple[Segment, ...]
    margin_mm: float
    use: bool | Mapping[str, Any]


@dataclass(frozen=True)
class SlidingWindow:
    """How patches are laid and looked at; each setting but the axes is a value or a reference to a parameter.

    Attributes
    ----------
    step
        Distance between patches as a fraction of their size.
    mirror
        Whether patches are looked at mirrored too; None for what the runtime does.
    skip_air
        Whether patches that hold nothing but the air around the body of a CT are left out.
    around_body
        Whether patches are laid around the body of a CT, and not over the whole image.
    mirror_axes
        Axes (0 is z) that may be mirrored.
    """

    step: float | Mapping[str, Any] = 0.5
    mirror: bool | Mapping[str, Any] | None = None
    skip_air: bool | Mapping[str, Any] = True
    around_body: bool | Mapping[str, Any] = False
    mirror_axes: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class PostprocessingStep:
    """One step of what is done with the network's classes; `NativeDLLib.postprocess.steps` has those there are.

    Attributes
    ----------
    step
        Name of the step.
    settings
        Settings by name, each a value or a reference to a parameter.
    enabled
        Whether the step is done, or the parameter that says so.
    """

    step: str
    settings: Mapping[str, Any]
    enabled: bool | Mapping[str, Any] = True


@dataclass(frozen=True)
class Made:
    """Segments that a postprocessing step makes of some of the network's classes.

    Attributes
    ----------
    name
        Name of all of them together.
    description
        Phrase for the model's card.
    labels
        Labels of the segments.
    classes
        Classes of the network.
    """

    name: str
    description: str
    labels: tuple[int, ...]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """One model of the registry."""

    id: str
    version: str
    title: str
    description: str
    license: str
    citation: str
    intended_use: str
    runtime: str
    input: InputContract
    segments: tuple[Segment, ...]
    output_channels: int | None
    architecture: Mapping[str, Any] | None
    parameters: tuple[Parameter, ...]
    sliding_window: SlidingWindow
    postprocessing: tuple[PostprocessingStep, ...]
    evaluation: Sequence[Mapping[str, Any]]
    weights: Mapping[str, Any]
    card: Path | None
    registry: Path
    data: Mapping[str, Any]
    coarse: Coarse | None = None

    @property
    def tool_name(self) -> str:
        """Name and version, as in ``liver-ct-demo 1.0.0``."""
        return f"{self.id} {self.version}"

    @property
    def needed(self) -> tuple[Model, ...]:
        """The models whose weights a run takes: this one, and its coarse one."""
        return (self,) if self.coarse is None else (self, self.coarse.model)

    @property
    def least_channels(self) -> int:
        """Channels that the network has at least, the background included."""
        return self.output_channels or max(segment.label for segment in self.segments) + 1

    @property
    def network_segments(self) -> tuple[Segment, ...]:
        """Segments of the network's own classes; a postprocessing step makes those of labels beyond its channels."""
        channels = self.output_channels
        return tuple(segment for segment in self.segments if channels is None or segment.label < channels)


def make_model(data: Mapping[str, Any], registry: Path) -> Model:
    """Make a model from an entry that has passed its checks."""
    given = data["input"]
    intensity = given.get("intensity", {"normalization": "none"})
    return Model(
        id=data["id"],
        version=data["version"],
        title=data["title"],
        description=data["description"],
        license=data["license"],
        citation=data.get("citation", ""),
        intended_use=data["intended_use"],
        runtime=data["runtime"],
        input=InputContract(
            modality=given["modality"],
            body_parts=tuple(given.get("body_parts", ())),
            keywords=tuple(given.get("keywords", ())),
            channels=tuple(channel["name"] for channel in given["channels"]),
            orientation=None if given.get("orientation") == "stored" else given.get("orientation"),
            spacing=_triple(given.get("spacing"), float),
            clip=tuple(intensity["clip"]) if "clip" in intensity else None,
            normalization=intensity["normalization"],
            patch_size=_triple(given.get("patch_size"), int),
            padding=given.get("padding", "constant"),
        ),
        segments=tuple(_segment(row, i + 1) for i, row in enumerate(data["output"]["segments"])),
        output_channels=data["output"].get("channels"),
        architecture=data.get("architecture"),
        parameters=tuple(_parameter(row) for row in data.get("parameters", ())),
        sliding_window=_sliding_window(data.get("sliding_window", {})),
        postprocessing=tuple(_step(row) for row in data.get("postprocessing", ())),
        evaluation=tuple(data.get("evaluation", ())),
        weights=data["weights"],
        card=registry.parent / data["card"] if "card" in data else None,
        registry=registry,
        data=data,
    )


def _sliding_window(row: Mapping[str, Any]) -> SlidingWindow:
    settings: dict[str, Any] = {**row}
    if "mirror_axes" in row:
        settings["mirror_axes"] = tuple(row["mirror_axes"])
    return SlidingWindow(**settings)


def _step(row: Mapping[str, Any]) -> PostprocessingStep:
    settings = {name: value for name, value in row.items() if name not in ("step", "enabled")}
    return PostprocessingStep(row["step"], settings, row.get("enabled", True))


def _triple(values: Sequence[Any] | None, kind: type) -> Any:
    return None if values is None else tuple(kind(value) for value in values)


def _segment(row: Mapping[str, Any], number: int) -> Segment:
    def code(key: str) -> Code | None:
        return Code(**row[key]) if key in row else None

    return Segment(
        number=number,
        label=row["label"],
        name=row["name"],
        color=(row["color"][0], row["color"][1], row["color"][2]),
        category=Code(**row["category"]),
        type=Code(**row["type"]),
        type_modifier=code("type_modifier"),
        region=code("region"),
        region_modifier=code("region_modifier"),
        plausible=make_plausible(row.get("plausible", {})),
    )


def make_plausible(row: Mapping[str, Any]) -> Plausible:
    """Make it from the values of an entry or of a report."""
    bounds = row.get("volume_ml")
    volume_ml = None if bounds is None else (float(bounds[0]), float(bounds[1]))
    return Plausible(volume_ml, str(row.get("side", "")), tuple(map(str, row.get("cut_at", ()))))


def _parameter(row: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=row["name"],
        type=row["type"],
        default=row["default"],
        label=row["label"],
        help=row["help"],
        minimum=row.get("minimum"),
        maximum=row.get("maximum"),
        choices=tuple(row.get("choices", ())),
        unit=row.get("unit", ""),
    )
