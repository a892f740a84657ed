"""From an RT Structure Set to a segmentation that Slicer opens."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import atomic_path
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.rtstruct_reader import StructureSet, read_structure_set
from NativeDLLib.regions.masks import mask_of
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.source import Series
from NativeDLLib.source.where import Where
from NativeDLLib.volumes import write_seg_nrrd


def structures_to_slicer(path: Path, where: Where, output: Path, progress: Progress) -> Report:
    """Write the regions of interest of a structure set as segments on the slices of a series, and return a report.

    Parameters
    ----------
    path
        Structure set, from any system.
    where
        The series; by default the one that the structure set refers to.
    output
        The ``.seg.nrrd``, which is replaced. Where regions overlap, it has layers.
    progress
        Progress of the job.
    """
    started = time.perf_counter()
    given = read_structure_set(path)
    with replace(where, series=where.series or given.series_uid or None).open_series(progress) as opened:
        series = opened
    if series.text("FrameOfReferenceUID") not in given.frames_of_reference:
        raise InputError(f"{path}: its coordinates are not in the frame of reference of series {series.uid}")
    if not given.rois:
        raise InputError(f"{path}: has no region of interest")
    voxels: list[int] = []
    with progress.stage("fill"):
        masks = _masks(given, series, voxels, progress)
        labels, layers = in_layers(masks, series.grid.size[::-1], len(given.rois))
    with progress.stage("write"):
        output.parent.mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray(labels, isVector=True) if labels.shape[-1] > 1 else _scalar(labels)
        segments, types = [roi.segment for roi in given.rois], [roi.algorithm_type for roi in given.rois]
        with atomic_path(output) as partial:
            write_seg_nrrd(partial, series.grid.apply(image), segments, given.label, layers=layers, types=types)
    rows = [{"number": s.number, "name": s.name, "voxels": n} for s, n in zip(segments, voxels, strict=True)]
    files = {output.name: str(output)}
    outcome = given.approval or "approval is not told"
    report = Report(outcome, ReportedSeries.of(series), segments=rows, files=files)
    report.complete(started, progress)
    return report


def _masks(
    given: StructureSet, series: Series, voxels: list[int], progress: Progress
) -> Iterator[npt.NDArray[np.bool_]]:
    if given.unnumbered:
        progress.warn(f"{given.unnumbered} item(s) of the structure set have no ROI number; they are left out")
    for roi in given.rois:
        progress.check()
        mask, elsewhere = mask_of(series, roi.contours)
        if elsewhere or roi.ignored:
            empty = "" if elsewhere < len(roi.contours) else ", and nothing is left of it"
            progress.warn(
                f"'{roi.segment.name}': {elsewhere} contour(s) lie on no slice of the series, "
                f"{roi.ignored} are no closed lines or have no area; they are left out{empty}"
            )
        voxels.append(int(np.count_nonzero(mask)))
        yield mask


def _scalar(labels: npt.NDArray[Any]) -> sitk.Image:
    return sitk.GetImageFromArray(np.ascontiguousarray(labels[..., 0]))


def in_layers(
    masks: Iterable[npt.NDArray[np.bool_]], shape: tuple[int, ...], count: int
) -> tuple[npt.NDArray[Any], list[int]]:
    """Labels (z, y, x, layer) of masks in as few layers as they need without overlap, and the layer of each mask."""
    planes = [np.zeros(shape, np.uint8 if count <= 255 else np.uint16)]
    layers = []
    for number, mask in enumerate(masks, 1):
        free = next((index for index, plane in enumerate(planes) if not plane[mask].any()), len(planes))
        if free == len(planes):
            planes.append(np.zeros_like(planes[0]))
        planes[free][mask] = number
        layers.append(free)
    return np.stack(planes, axis=-1), layers
