"""A registry entry as the rest of the library sees it: checked, typed, immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """Plausible values of a segment; a result beyond them warns.

    Attributes
    ----------
    volume_ml
        Least and largest volume of the whole structure; None where nothing is known.
    side
        Side of its centre in the body, in the letters R, L, A, P of Patient Orientation (PS3.3 C.7.6.1.1.1).
    cut_at
        Borders of the images at which it usually ends, in the same letters with H and F.
    """

    volume_ml: tuple[float, float] | None = None
    side: str = ""
    cut_at: tuple[str, ...] = ()


@dataclass(frozen=True)
class Segment:
    """One segment of the output.

    ``number`` is its Segment Number in the SEG and its value in label maps, from 1; ``label`` its value in the
    network's output; ``color`` its recommended display colour, sRGB 0 to 255.
    """

    number: int
    label: int
    name: str
    color: tuple[int, int, int]
    category: Code
    type: Code
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None
    plausible: Plausible = Plausible()


@dataclass(frozen=True)
class Parameter:
    """Something the user may set."""

    name: str
    type: Literal["number", "integer", "boolean", "choice"]
    default: float | bool | str
    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class InputContract:
    """Input that a model needs; lists of three are (z, y, x), spacing in mm.

    `padding` continues an image with fewer slices than a patch: by a constant such as air, or by its own slices,
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
    """Another model that finds where in an image this one is to look.

    Attributes
    ----------
    model
        The coarse model, which has none itself.
    segments
        Segments of it around which this model looks.
    margin_mm
        Margin around them.
    use
        Whether it is used, or the parameter that decides.
    """

    model: Model
    segments: tuple[Segment, ...]
    margin_mm: float
    use: bool | Mapping[str, Any]


@dataclass(frozen=True)
class WeightsEntry:
    """The weights of a model as its entry names them: a file, or a results folder of nnU-Net.

    Attributes
    ----------
    place
        Path of the file or folder, beside the registry or, where there is a `url`, in the cache.
    is_folder
        Whether it is a results folder.
    sha256, size
        Digest and bytes of the file, or of what is at the `url`; None where they are not known.
    files
        Digests of files in the folder, by their path in it.
    folds
        Folds that are used; None for all there are.
    checkpoint
        File name of each fold's checkpoint.
    url
        Address of the file, or of a zip with the folder; empty where nothing is to be fetched.
    """

    place: str
    is_folder: bool
    sha256: str | None = None
    size: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    folds: tuple[int | str, ...] | None = None
    checkpoint: str = "checkpoint_final.pth"
    url: str = ""


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
    weights: WeightsEntry
    card: Path | None
    registry: Path
    data: Mapping[str, Any]
    coarse: Coarse | None = None
    kind: str = "segmentation"

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
