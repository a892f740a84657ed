"""From coarse to fine: one model finds the place in the whole image, and another one looks only there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Labels, box_of
from NativeDLLib.core.progress import Progress
from NativeDLLib.postprocess.state import State
from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.masks import LEAST_CM2, SIDES, counts, letter
from NativeDLLib.registry.entry import Coarse, Model, Segment
from NativeDLLib.registry.parameters import Value, resolve
from NativeDLLib.source import Grid


@dataclass(frozen=True)
class Box:
    """The part of an image in which a model looks."""

    grid: Grid  # grid of the whole image
    part: tuple[slice, ...] | None = None  # slices (z, y, x) of the whole image; None where the part is all of it
    coarse: Mapping[str, Any] | None = None  # account of the coarse model and the box, for the report

    @property
    def parameters(self) -> dict[str, str]:
        """Coarse model and box, for the parameters in the SEG."""
        if self.coarse is None:
            return {}
        model, box = self.coarse["model"], "whole image"
        if self.part is not None:
            box = " ".join(f"{x} {p.start}-{p.stop - 1}" for x, p in zip("xyz", self.part[::-1], strict=True))
        return {"coarse_model": f"{model['id']} {model['version']}", "coarse_box": box}

    def cut(self, image: sitk.Image) -> sitk.Image:
        """Return the part of an image, in place in the patient."""
        if self.part is None:
            return image
        size = [held.stop - held.start for held in self.part[::-1]]
        return sitk.RegionOfInterest(image, size, [held.start for held in self.part[::-1]])

    def put_back(self, classes: Labels) -> Labels:
        """Return an array (z, y, x) of the part as one of the whole image, in which all else is background."""
        if self.part is None:
            return classes
        whole = np.zeros(self.grid.size[::-1], classes.dtype)
        whole[self.part] = classes
        return whole

    def remarks_on(self, levels: str) -> list[str]:
        """Return warnings about the numbering of vertebrae whose levels are known from `levels`; see `State`."""
        if self.part is None or self.coarse is None or levels != "numbered":
            return []
        return [
            f"vertebrae are numbered from the top of the box around what {self.coarse['model']['id']} found: in the "
            "whole image another one may be the first"
        ]

    def cut_segments(self, labels: sitk.Image, segments: Sequence[Segment]) -> list[Finding]:
        """Find segments of the whole image that end at a side of the box inside it, as if they went on beyond."""
        if self.part is None or self.coarse is None:
            return []
        inside = sitk.GetArrayViewFromImage(labels)[self.part]
        areas = np.zeros((6, len(segments)))
        for axis, (held, size) in enumerate(zip(self.part[::-1], self.grid.size, strict=True)):
            cm2 = np.prod([s for other, s in enumerate(self.grid.spacing) if other != axis]) / 100
            for end, is_open in ((0, held.start > 0), (1, held.stop < size)):
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


class _Within(Progress):
    """Progress of a whole run, shown as that of one stage of another."""

    def __init__(self, outer: Progress, stage: str) -> None:
        super().__init__(outer)
        self._outer, self._stage = outer, stage

    def update(self, stage: str, fraction: float) -> None:
        """See `Progress`."""
        self._outer.update(self._stage, fraction)


def find_box(
    model: Model,
    grid: Grid,
    image: sitk.Image,
    parameters: Mapping[str, Value],
    run: Callable[[Model, Progress], tuple[State, str, str]],
    progress: Progress,
) -> Box:
    """Run the coarse model of a model on the whole image, and return where the latter is to look. `grid` and `image`
    are those of the whole image, `parameters` those of `model`, one of which may switch its coarse model off. `run`
    runs a model on the whole image and returns its segments, the device in words, and the digest of the weights. The
    box is all of the image where there is no coarse model, it is not used, or it finds nothing.
    """
    coarse = model.coarse
    if coarse is None or not resolve(coarse.use, parameters):
        return Box(grid)
    inner, who = _Within(progress, "coarse"), f"coarse model {coarse.model.id}"
    with progress.stage("coarse"):
        found, device, digest = run(coarse.model, inner)
        part = _around(found, coarse, grid, _patch_mm(model, grid))
    for warning in inner.warnings:
        progress.warn(f"{who}: {warning}")
    names = [segment.name for segment in coarse.segments]
    if part is None:
        shown = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
        progress.warn(f"{who}: found nothing of {shown}; {model.id} looks at the whole image")
    record: dict[str, Any] = {
        "model": coarse.model.origin,
        "weights_sha256": digest,
        "device": device,
        "segments": names,
        "margin_mm": coarse.margin_mm,
        "box": None if part is None else _in_words(part, image),
    }
    return Box(grid, part, record)


def _around(found: State, coarse: Coarse, grid: Grid, least_mm: Sequence[float]) -> tuple[slice, ...] | None:
    """Return the slices (z, y, x) around what was found, with the margin; None where that is nothing."""
    names = {segment.name for segment in coarse.segments}
    # Of a result with vertebrae only the levels that are there have numbers.
    wanted = np.array([False, *(segment.name in names for segment in found.segments)])
    box = box_of(wanted[found.labels])
    if box is None:
        return None
    slices = []
    for held, size, spacing, mm in zip(box, grid.size[::-1], grid.spacing[::-1], least_mm, strict=True):
        margin = ceil(coarse.margin_mm / spacing)
        start, stop = max(0, held.start - margin), min(size, held.stop + margin)
        # A voxel more than a patch, as the network's grid may be rounded to one less.
        count = min(size, max(stop - start, ceil(mm / spacing) + 1))
        start = min(max(0, (start + stop - count) // 2), size - count)
        slices.append(slice(start, start + count))
    return tuple(slices)


def _patch_mm(model: Model, grid: Grid) -> list[float]:
    """Length of a patch along the axes (z, y, x) of an image. A box is at least as large: a patch holds that much of
    the image anyway. Around a smaller box it would hold air, which a network takes for the border of the body.
    """
    patch, spacing, orientation = model.input.patch_size, model.input.spacing, model.input.orientation
    assert patch is not None
    assert spacing is not None
    sizes = [count * mm for count, mm in zip(patch, spacing, strict=True)]
    if orientation is None:
        return sizes
    # Two letters for the ends of each axis of the patient.
    by_axis = {"RLAPIS".index(letter) // 2: mm for letter, mm in zip(orientation, sizes[::-1], strict=True)}
    return [by_axis[int(axis)] for axis in np.abs(np.reshape(grid.direction, (3, 3))).argmax(axis=0)[::-1]]


def _in_words(part: tuple[slice, ...], image: sitk.Image) -> dict[str, Any]:
    """Return a box as its outermost voxels (x, y, z) and their centres (LPS, mm)."""
    ends = [[held.start for held in part[::-1]], [held.stop - 1 for held in part[::-1]]]
    points = [[round(v, 3) for v in image.TransformIndexToPhysicalPoint(voxel)] for voxel in ends]
    return {"first_voxel": ends[0], "last_voxel": ends[1], "first_mm": points[0], "last_mm": points[1]}
