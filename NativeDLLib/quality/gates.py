"""Measures of a result's segments, and the gates that every result passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, in_threads
from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.hounsfield import not_hounsfield
from NativeDLLib.quality.look import Look
from NativeDLLib.quality.masks import cut_by_border, cut_by_field, implausible_volumes
from NativeDLLib.quality.orientation import doubtful_orientation, wrong_sides
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source import Grid, Source


def measure(source: Source, image: sitk.Image, labels: sitk.Image, segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """Measure the segments of a label map of Segment Numbers on the grid of `image`: for each its number, name, voxels,
    volume in mL, and mean value (None where there is no voxel): in CT ``mean_hu``, else ``mean_value``.
    """
    unit = "hu" if source.text("Modality") == "CT" else "value"
    numbers, values = sitk.GetArrayViewFromImage(labels), sitk.GetArrayViewFromImage(image)

    def of_plane(z: int) -> tuple[Array, Array]:
        found = np.flatnonzero(numbers[z])
        where = numbers[z].ravel()[found].astype(np.intp)
        sums = np.bincount(where, weights=values[z].ravel()[found], minlength=len(segments) + 1)
        return np.bincount(where, minlength=len(segments) + 1), sums

    # What one plane needs stays in the processor's cache.
    planes = in_threads(of_plane, range(len(numbers)))
    counts, sums = (np.sum(parts, axis=0) for parts in zip(*planes, strict=True))
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000
    return [
        {
            "number": segment.number,
            "name": segment.name,
            "voxels": int(counts[segment.number]),
            "volume_ml": round(float(counts[segment.number]) * voxel_ml, 3),
            f"mean_{unit}": round(float(sums[segment.number] / counts[segment.number]), 2)
            if counts[segment.number]
            else None,
        }
        for segment in segments
    ]


# Names in a message.
_NAMED = 8


def examine(
    source: Source, image: sitk.Image, labels: sitk.Image, segments: Sequence[Segment], volumes_ml: Sequence[float]
) -> list[Finding]:
    """Findings of a new result, the whole image first; `labels` are Segment Numbers, `volumes_ml` in their order."""
    values, pixels = sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(labels)
    findings: list[Finding] = []
    if not any(volumes_ml):
        names = ", ".join(segment.name for segment in segments[:_NAMED]) + (" ..." if len(segments) > _NAMED else "")
        findings.append(Finding("nothing-found", f"nothing was found of {names}"))
    is_ct = source.text("Modality") == "CT"
    if is_ct and (why := not_hounsfield(values, source.text("RescaleType"))):
        findings.append(Finding("not-hounsfield", f"the values of the images do not look like Hounsfield units: {why}"))
    elif is_ct:
        if (look := Look.at(values, source.grid)) is not None:
            findings += doubtful_orientation(look)
            findings += wrong_sides(look, pixels, source.grid, segments)
        findings += cut_by_field(values, pixels, source.grid, segments)
    return findings + _of_masks(pixels, source.grid, segments, volumes_ml, findings)


def examine_again(
    pixels: Array, grid: Grid, segments: Sequence[Segment], volumes_ml: Sequence[float], before: Sequence[Finding]
) -> list[Finding]:
    """Findings of masks that a physician has approved: volumes and borders are judged anew, findings that need the
    image stay. `pixels` is a label map (z, y, x) of numbers from 1 in the order of the segments, or masks (z, y, x,
    segment); `before` has the findings of the automatic result, with the segments under their present names.
    """
    names = {None, *(segment.name for segment in segments)}
    found_anew = ("implausible-volume", "cut-by-border", "nothing-found")
    kept = [f for f in before if f.code not in found_anew and f.segment in names]
    return kept + _of_masks(pixels, grid, segments, volumes_ml, kept)


def _of_masks(
    pixels: Array, grid: Grid, segments: Sequence[Segment], volumes_ml: Sequence[float], elsewhere: Sequence[Finding]
) -> list[Finding]:
    found = implausible_volumes(pixels, segments, volumes_ml, elsewhere)
    return [*found, *cut_by_border(pixels, grid, segments)]
