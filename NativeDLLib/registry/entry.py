"""A registry entry as the rest of the library sees it: checked, typed, immutable."""

import hashlib
import json
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
    """Plausible values of a segment; a result beyond them warns."""

    volume_ml: tuple[float, float] | None = None  # least and largest of the whole structure
    side: str = ""  # of its centre in the body, in letters R, L, A, P of Patient Orientation (PS3.3 C.7.6.1.1.1)
    cut_at: tuple[str, ...] = ()  # borders of the images at which it usually ends, in the same letters with H and F
    extent_mm: float | None = None  # along the spine, the largest, without the outermost hundredths
    level: int | None = None  # place in the spine, from 1 for C1 to 25 for S1


@dataclass(frozen=True)
class Segment:
    """One segment of the output."""

    number: int  # Segment Number in the SEG and value in label maps, from 1
    label: int  # value in the network's output
    name: str
    color: tuple[int, int, int]  # recommended display colour, sRGB 0 to 255
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
class Channel:
    """One channel of a network's input: a series, and the way from the values of its images to those of the input."""

    name: str
    clip: tuple[float, float] | None
    normalization: Mapping[str, float] | str
    series: Literal["same", ""] = ""  # same: that of the first channel; empty where the entry does not say


@dataclass(frozen=True)
class InputContract:
    """Input that a model needs; lists of three are (z, y, x), spacing in mm."""

    modality: str
    body_parts: tuple[str, ...]
    keywords: tuple[str, ...]
    channels: tuple[Channel, ...]
    orientation: str | None
    spacing: tuple[float, float, float] | None
    patch_size: tuple[int, int, int] | None
    # Of an image with fewer slices than a patch: by a constant such as air, or by its own slices, reflected.
    padding: Literal["constant", "reflect"] = "constant"
    axes: str | None = None  # order of the axes of the network's own array, None where the entry does not say

    @property
    def needs(self) -> str:
        """Reason why one series is not enough, as ``needs 2 channels (T1, FLAIR), a series gives one``; empty else."""
        if all(channel.series == "same" for channel in self.channels[1:]):
            return ""
        names = ", ".join(channel.name for channel in self.channels)
        return f"needs {len(self.channels)} channels ({names}), a series gives one"

    @property
    def array_axes(self) -> tuple[int, ...]:
        """Axes of arrays (z, y, x) in the order in which the network takes them: (2, 1, 0) where that is x, y, z."""
        return tuple("zyx".index(letter) for letter in self.axes or "zyx")


@dataclass(frozen=True)
class Coarse:
    """Another model that finds where in an image this one is to look."""

    model: "Model"  # the coarse model, which has none itself
    segments: tuple[Segment, ...]  # segments of it around which this model looks
    margin_mm: float  # around them
    use: bool | Mapping[str, Any]  # whether it is used, or the parameter that decides


@dataclass(frozen=True)
class WeightsEntry:
    """The weights of a model as its entry names them: a file, or a results folder of nnU-Net."""

    place: str  # path of the file or folder, beside the registry or, where there is a `url`, in the cache
    is_folder: bool  # of nnU-Net's results
    sha256: str | None = None  # of the file, or of what is at the `url`; None where it is not known
    size: int | None = None  # in bytes, of the same
    files: Mapping[str, str] = field(default_factory=dict)  # digests of files in the folder, by their path in it
    folds: tuple[int | str, ...] | None = None  # folds that are used; None for all there are
    checkpoint: str = "checkpoint_final.pth"  # file name of each fold's checkpoint
    url: str = ""  # address of the file, or of a zip with the folder; empty where nothing is to be fetched


@dataclass(frozen=True)
class SlidingWindow:
    """How patches are laid and looked at; each setting but the axes is a value or a reference to a parameter."""

    step: float | Mapping[str, Any] = 0.5  # distance between patches as a fraction of their size
    mirror: bool | Mapping[str, Any] | None = None  # looked at mirrored too; None: as the runtime does
    skip_air: bool | Mapping[str, Any] = True  # those of nothing but air around a CT's body are left out
    around_body: bool | Mapping[str, Any] = False  # laid around the body of a CT, not over the whole image
    mirror_axes: tuple[int, ...] = (0, 1, 2)  # axes (0 is z) that may be mirrored


@dataclass(frozen=True)
class PostprocessingStep:
    """One step of what is done with the network's classes; `NativeDLLib.postprocess.steps` has those there are."""

    step: str
    settings: Mapping[str, Any]  # settings by name, each a value or a reference to a parameter
    enabled: bool | Mapping[str, Any] = True  # whether the step is done, or the parameter that says so


@dataclass(frozen=True)
class Made:
    """Segments that a postprocessing step makes of some of the network's classes."""

    name: str  # name of all of them together
    description: str  # phrase for the model's card
    labels: tuple[int, ...]  # those of the segments
    classes: tuple[int, ...]  # those of the network


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
    activation: str = ""
    """``softmax``, ``sigmoid`` or ``labels``; empty where the entry does not say."""
    threshold: float = 0.0
    """With sigmoid: value of a channel above which a voxel is of its segment."""

    @property
    def tool_name(self) -> str:
        """Name and version, as in ``liver-ct-demo 1.0.0``."""
        return f"{self.id} {self.version}"

    @property
    def origin(self) -> dict[str, str]:
        """Row of a report: the entry, the registry file that it is from, and the SHA-256 of its canonical JSON (keys in
        order, no spaces, UTF-8).
        """
        content = json.dumps(self.data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        named = {"id": self.id, "version": self.version, "runtime": self.runtime}
        return named | {"registry": str(self.registry), "entry_sha256": hashlib.sha256(content).hexdigest()}

    @property
    def needed(self) -> tuple["Model", ...]:
        """The models whose weights a run takes: this one, and its coarse one."""
        return (self,) if self.coarse is None else (self, self.coarse.model)

    @property
    def least_channels(self) -> int:
        """Classes that the network tells apart at least, the background included."""
        return self.output_channels or max(segment.label for segment in self.segments) + 1

    @property
    def given_channels(self) -> int:
        """Channels that the network itself gives at least: with sigmoid none for the background, of labels one."""
        return 1 if self.activation == "labels" else self.least_channels - (self.activation == "sigmoid")

    @property
    def network_segments(self) -> tuple[Segment, ...]:
        """Segments of the network's own classes; a postprocessing step makes those of labels beyond its channels."""
        channels = self.output_channels
        return tuple(segment for segment in self.segments if channels is None or segment.label < channels)
