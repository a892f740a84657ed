"""From coarse to fine: one model finds the place in the whole image, and another one looks only there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.box import box_of
from NativeDLLib.core.progress import Progress
from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.masks import LEAST_CM2, SIDES, counts, letter
from NativeDLLib.registry import effective
from NativeDLLib.registry.entry import Coarse, Model, Segment
from NativeDLLib.registry.parameters import Value, resolve
from NativeDLLib.source import Grid
from NativeDLLib.source.source import Source

if TYPE_CHECKING:
    from NativeDLLib.segment.pipeline import SegmentationTool
    from NativeDLLib.segment.result import SegmentationResult

# Of the patient, along which letters of an orientation point.
_AXES = {"R": 0, "L": 0, "A": 1, "P": 1, "I": 2, "S": 2}


@dataclass(frozen=True)
class Box:
    """The part of an image in which a model looks.

    Attributes
    ----------
    grid
        Of the whole image.
    place
        Voxels (z, y, x) of the whole image; None where the part is all of it.
    coarse
        What the coarse model found it with, for the report; None where there was none.
    """

    grid: Grid
    place: tuple[slice, ...] | None = None
    coarse: Mapping[str, Any] | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """How the box came about, for the parameters in the SEG."""
        if self.coarse is None:
            return {}
        model, box = self.coarse["model"], "whole image"
        if self.place is not None:
            box = " ".join(f"{x} {p.start}-{p.stop - 1}" for x, p in zip("xyz", self.place[::-1], strict=True))
        return {"coarse_model": f"{model['id']} {model['version']}", "coarse_box": box}

    def cut(self, image: sitk.Image) -> sitk.Image:
        """Return the part of an image, in its place in the patient."""
        if self.place is None:
            return image
        start = [part.start for part in self.place[::-1]]
        return sitk.RegionOfInterest(image, [part.stop - part.start for part in self.place[::-1]], start)

    def put_back(self, classes: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """Return an array (z, y, x) of the part as one of the whole image, in which all else is background."""
        if self.place is None:
            return classes
        whole = np.zeros(self.grid.size[::-1], classes.dtype)
        whole[self.place] = classes
        return whole

    def remarks_on(self, levels: str) -> list[str]:
        """Return what is to be told of vertebrae whose levels are known from `levels` (see `SegmentationResult`)."""
        if self.place is None or self.coarse is None or levels != "numbered":
            return []
        return [
            f"vertebrae are numbered from the top of the box around what {self.coarse['model']['id']} found: in the "
            "whole image another one may be the first"
        ]

    def cut_segments(self, labels: sitk.Image, segments: Sequence[Segment]) -> list[Finding]:
        """Find segments that end at a side of the box inside the image, as if they went on beyond.

        Parameters
        ----------
        labels
            Segment Numbers of the whole image.
        segments
            By their numbers.
        """
        if self.place is None or self.coarse is None:
            return []
        inside = sitk.GetArrayViewFromImage(labels)[self.place]
        areas = np.zeros((6, len(segments)))
        for axis, (part, size) in enumerate(zip(self.place[::-1], self.grid.size, strict=True)):
            cm2 = np.prod([s for other, s in enumerate(self.grid.spacing) if other != axis]) / 100
            for end, is_open in ((0, part.start > 0), (1, part.stop < size)):
                if is_open:
                    areas[2 * axis + end] = cm2 * counts(np.take(inside, -end, axis=2 - axis), len(segments))
        findings = []
        for segment, cut in zip(segments, areas.T, strict=True):
            sides = [SIDES[letter(self.grid, at // 2, end=at % 2 == 1)] for at in range(6) if cut[at] >= LEAST_CM2]
            if sides:
                message = (
                    f"{segment.name}: cut at the {' and '.join(sides)} side of the box around what "
                    f"{self.coarse['model']['id']} found; run it without that, or with a larger margin_mm"
                )
                findings.append(Finding("cut-by-box", message, segment.name))
        return findings


@dataclass(frozen=True)
class _Read:
    """A source whose voxels are there already, and whose warnings were given."""

    source: Source
    voxels: sitk.Image
    warnings: Sequence[str] = ()

    @property
    def grid(self) -> Grid:
        return self.source.grid

    def text(self, keyword: str) -> str:
        return self.source.text(keyword)

    def image(self, progress: Progress | None = None) -> tuple[sitk.Image, list[str]]:
        return self.voxels, []

    def image_of(self, voxels: npt.NDArray[Any]) -> sitk.Image:
        return self.source.image_of(voxels)


class _Within(Progress):
    """Shows the progress of a whole run as that of one stage of another."""

    def __init__(self, outer: Progress, stage: str) -> None:
        super().__init__(outer)
        self._outer, self._stage = outer, stage

    def update(self, stage: str, fraction: float) -> None:
        """See `Progress`."""
        self._outer.update(self._stage, fraction)


def find_box(
    tool: SegmentationTool,
    series: Source,
    image: sitk.Image,
    parameters: Mapping[str, Value],
    progress: Progress,
) -> Box:
    """Run the coarse model of a tool's model on the whole image, and return where the latter is to look.

    Parameters
    ----------
    tool
        Of the model; its coarse one runs on the same device, with its own default parameters.
    series, image
        The source, and its voxels.
    parameters
        Effective ones of the model, one of which may switch its coarse model off.

    Returns
    -------
    Box
        All of the image where there is no coarse model, it is not used, or it finds nothing.

    Raises
    ------
    InputError
        Where the image cannot be given to the coarse model.
    ModelError
        Where the coarse model's weights, runtime or device cannot be used.
    CancelledError
        Where the work was cancelled.
    """
    coarse, grid = tool.model.coarse, series.grid
    if coarse is None or not resolve(coarse.use, parameters):
        return Box(grid)
    inner, who = _Within(progress, "coarse"), f"coarse model {coarse.model.id}"
    with progress.stage("coarse"):
        other = replace(tool, model=coarse.model)
        found = other.process(_Read(series, image), effective(coarse.model), inner)
        place = _place(found, coarse, grid, _patch_mm(tool.model, grid))
    # What the coarse result looks like is not what the user asked for.
    judged = {finding.message for finding in found.quality}
    for warning in (warning for warning in inner.warnings if warning not in judged):
        progress.warn(f"{who}: {warning}")
    record: dict[str, Any] = {
        "model": {"id": coarse.model.id, "version": coarse.model.version, "runtime": coarse.model.runtime},
        "weights_sha256": found.facts["weights_sha256"],
        "device": found.facts["device"],
        "segments": [segment.name for segment in coarse.segments],
        "margin_mm": coarse.margin_mm,
        "box": None if place is None else _in_words(place, image),
    }
    if place is None:
        names = ", ".join(record["segments"][:8]) + (" ..." if len(coarse.segments) > 8 else "")
        progress.warn(f"{who}: found nothing of {names}; {tool.model.id} looks at the whole image")
    return Box(grid, place, record)


def _place(
    found: SegmentationResult, coarse: Coarse, grid: Grid, least_mm: Sequence[float]
) -> tuple[slice, ...] | None:
    """Return the voxels (z, y, x) around what was found, with the margin; None where that is nothing."""
    names = {segment.name for segment in coarse.segments}
    # Of a result with vertebrae only the levels that are there have numbers.
    wanted = np.array([False, *(segment.name in names for segment in found.segments)])
    box = box_of(wanted[sitk.GetArrayViewFromImage(found.labels)])
    if box is None:
        return None
    place = []
    for held, size, spacing, mm in zip(box, grid.size[::-1], grid.spacing[::-1], least_mm, strict=True):
        margin = ceil(coarse.margin_mm / spacing)
        start, stop = max(0, held.start - margin), min(size, held.stop + margin)
        # A voxel more than a patch, as the network's grid may be rounded to one less.
        count = min(size, max(stop - start, ceil(mm / spacing) + 1))
        start = min(max(0, (start + stop - count) // 2), size - count)
        place.append(slice(start, start + count))
    return tuple(place)


def _patch_mm(model: Model, grid: Grid) -> list[float]:
    """Return how long a patch is along the axes (z, y, x) of an image.

    A box is at least as large: a patch holds that much of the image anyway, and what surrounds a smaller box would be
    filled with air, which a network takes for the border of the body.
    """
    patch, spacing, orientation = model.input.patch_size, model.input.spacing, model.input.orientation
    assert patch is not None
    assert spacing is not None
    sizes = [count * mm for count, mm in zip(patch, spacing, strict=True)]
    if orientation is None:
        return sizes
    by_axis = {_AXES[letter]: mm for letter, mm in zip(orientation, sizes[::-1], strict=True)}
    return [by_axis[int(axis)] for axis in np.abs(np.reshape(grid.direction, (3, 3))).argmax(axis=0)[::-1]]


def _in_words(place: tuple[slice, ...], image: sitk.Image) -> dict[str, Any]:
    """Return a box as its outermost voxels (x, y, z) and their centres (LPS, mm)."""
    ends = [[part.start for part in place[::-1]], [part.stop - 1 for part in place[::-1]]]
    points = [[round(v, 3) for v in image.TransformIndexToPhysicalPoint(voxel)] for voxel in ends]
    return {"first_voxel": ends[0], "last_voxel": ends[1], "first_mm": points[0], "last_mm": points[1]}
