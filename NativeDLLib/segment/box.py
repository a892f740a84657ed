"""The part of an image in which a model looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.masks import LEAST_CM2, SIDES, counts, letter
from NativeDLLib.registry.entry import Segment
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

    def put_back(self, classes: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
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
