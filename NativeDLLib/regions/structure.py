"""Regions as the contours of a structure set, and structure sets as labels on the slices of a series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Algorithm, AlgorithmType, Review
from NativeDLLib.dicom.roi import Contour, Roi
from NativeDLLib.dicom.rtstruct import make_structure_set
from NativeDLLib.quality.finding import Finding
from NativeDLLib.regions.propose import propose
from NativeDLLib.regions.region import Region
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source import Series


def rois_of(regions: Iterable[Region], types: Mapping[int, AlgorithmType]) -> list[Roi]:
    """Return regions by their segments; `types` tells how each segment came about, by its number."""
    segments: dict[int, Segment] = {}
    contours: dict[int, list[Contour]] = {}
    for region in regions:
        number = region.segment.number
        segments.setdefault(number, region.segment)
        contours.setdefault(number, []).append(Contour(region.slice_index, region.points))
    return [Roi(segments[n], types.get(n, "AUTOMATIC"), tuple(lines)) for n, lines in sorted(contours.items())]


def whole_structure_set(
    series: Series,
    labels: npt.NDArray[Any],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    progress: Progress,
    *,
    review: Review | None = None,
    findings: Sequence[Finding] = (),
) -> Dataset:
    """Whole segmentation as a structure set, without segments that have no voxel.

    The arguments are those of `propose` and `make_structure_set`.
    """
    regions = propose(series, labels, segments, progress=progress)
    types = () if review is None else review.algorithm_types
    kinds = dict(zip((segment.number for segment in segments), types, strict=False))
    return make_structure_set(series, rois_of(regions, kinds), algorithm, review, findings)


def in_layers(
    masks: Iterable[npt.NDArray[np.bool_]], shape: tuple[int, ...], count: int
) -> tuple[npt.NDArray[Any], list[int]]:
    """Labels (z, y, x, layer) of masks in as few layers as they need without overlap, and the layer of each mask.

    Masks are (z, y, x) of `shape`, taken one at a time; labels are their numbers from 1.
    """
    planes = [np.zeros(shape, np.uint8 if count <= 255 else np.uint16)]
    layers = []
    for number, mask in enumerate(masks, 1):
        free = next((index for index, plane in enumerate(planes) if not plane[mask].any()), len(planes))
        if free == len(planes):
            planes.append(np.zeros_like(planes[0]))
        planes[free][mask] = number
        layers.append(free)
    return np.stack(planes, axis=-1), layers
