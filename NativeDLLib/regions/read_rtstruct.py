"""From an RT Structure Set to a segmentation that Slicer opens: contours filled on the slices of a series.

A pixel is inside where the row that leads to its centre crosses the contours of its slice an odd number of times. This
is right for keyholes, whose channels are crossed twice, for CLOSED_PLANAR_XOR, and for the holes that many systems
write as contours of their own. A pixel whose centre lies on a contour is inside too (PS3.3 C.8.8.6.3): many systems
draw through the centres of the outermost pixels.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.arrays import Array, Bools, Points
from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import atomic_path
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.rtstruct_reader import StructureSet, read_structure_set
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.source import Plane, Series
from NativeDLLib.source.where import Where
from NativeDLLib.volumes.seg_nrrd import write_seg_nrrd

# How near to a contour, in pixels, a centre lies on it: more than the decimals of coordinates leave.
_ON = 1e-3
# Edges that are worked on at a time: each may cross every row.
_CHUNK = 4096


def mask_of(series: Series, contours: Iterable[Points]) -> tuple[Bools, int]:
    """Mask (z, y, x) inside closed planar contours, and the number of contours that lie on no slice. Contours are (n,
    3) in mm, LPS; each belongs to its nearest slice, if that is less than half a slice away.
    """
    columns, rows, count = series.grid.size
    mask = np.zeros((count, rows, columns), bool)
    lines: dict[int, list[Points]] = {}
    elsewhere = 0
    normal = np.reshape(series.grid.direction, (3, 3))[:, 2]
    for points in contours:
        height = float((points.mean(axis=0) - series.grid.origin) @ normal)
        plane = Plane.of(series, int(np.clip(round(height / series.grid.spacing[2]), 0, count - 1)))
        if np.abs(plane.heights(points)).max() > series.grid.spacing[2] / 2:
            elsewhere += 1
        else:
            lines.setdefault(plane.index, []).append(plane.to_pixels(points))
    for index, pixels in lines.items():
        mask[index] = fill(pixels, (rows, columns))
    return mask, elsewhere


def fill(lines: Iterable[Points], shape: tuple[int, int]) -> Bools:
    """Return the mask (y, x) that closed lines (n, 2) of (column, row) bound together, by the even-odd rule."""
    rows, columns = shape
    crossed = np.zeros((rows, columns + 1), np.int32)
    touched = np.zeros((rows, columns + 1), np.int32)
    for line in lines:
        first, second = line, np.roll(line, -1, axis=0)
        swap = (first[:, 1] > second[:, 1]) | ((first[:, 1] == second[:, 1]) & (first[:, 0] > second[:, 0]))
        # Upwards, so that both ways along a channel are crossed at the same place.
        low, high = np.where(swap[:, None], second, first), np.where(swap[:, None], first, second)
        for start in range(0, len(line), _CHUNK):
            _cross(low[start : start + _CHUNK], high[start : start + _CHUNK], crossed, touched)
    inside = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return np.asarray(inside | (np.cumsum(touched, axis=1)[:, :columns] > 0), bool)


def _cross(low: Points, high: Points, crossed: npt.NDArray[np.int32], touched: npt.NDArray[np.int32]) -> None:
    """Count where edges cross rows, from the next centre on, and where they touch centres, from there to the end."""
    rows, columns = crossed.shape[0], crossed.shape[1] - 1
    top = np.clip(np.ceil(low[:, 1] - _ON), 0, rows).astype(int)
    end = np.clip(np.floor(high[:, 1] + _ON) + 1, top, rows).astype(int)
    edge = np.repeat(np.arange(len(low)), end - top)
    row = top[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(end - top) - (end - top), end - top)
    a, b = low[edge], high[edge]
    rise = b[:, 1] - a[:, 1]
    flat = rise < _ON
    way = np.clip((row - a[:, 1]) / np.where(flat, 1, rise), 0, 1)
    x = a[:, 0] + way * (b[:, 0] - a[:, 0])
    real = (a[:, 1] <= row) & (row < b[:, 1])
    np.add.at(crossed, (row[real], np.clip(np.ceil(x[real]), 0, columns).astype(int)), 1)
    left, right = (np.where(flat, choose(a[:, 0], b[:, 0]), x) for choose in (np.minimum, np.maximum))
    start = np.clip(np.ceil(left - _ON), 0, columns).astype(int)
    stop = np.clip(np.floor(right + _ON) + 1, start, columns).astype(int)
    np.add.at(touched, (row, start), 1)
    np.add.at(touched, (row, stop), -1)


def structures_to_slicer(path: Path, where: Where, output: Path, progress: Progress) -> Report:
    """Write the regions of interest of any system's structure set on the slices of a series, and return a report. By
    default it is the series that the structure set refers to. `output`, a ``.seg.nrrd``, is replaced; it has layers
    where regions overlap.
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
        image = series.grid.image_of(labels if labels.shape[-1] > 1 else np.ascontiguousarray(labels[..., 0]))
        segments, types = [roi.segment for roi in given.rois], [roi.algorithm_type for roi in given.rois]
        with atomic_path(output) as partial:
            write_seg_nrrd(partial, image, segments, given.label, layers=layers, types=types)
    rows = [{"number": s.number, "name": s.name, "voxels": n} for s, n in zip(segments, voxels, strict=True)]
    files = {output.name: str(output)}
    outcome = given.approval or "approval is not told"
    report = Report(outcome, ReportedSeries.of(series), segments=rows, files=files)
    report.complete(started, progress)
    return report


def _masks(given: StructureSet, series: Series, voxels: list[int], progress: Progress) -> Iterator[Bools]:
    if given.unnumbered:
        progress.warn(f"{given.unnumbered} item(s) of the structure set have no ROI number to themselves; left out")
    for roi in given.rois:
        progress.check()
        mask, elsewhere = mask_of(series, roi.contours)
        if elsewhere or roi.ignored:
            end = "" if elsewhere < len(roi.contours) else ", and nothing is left of it"
            lost = f"{roi.ignored} are no closed lines or have no area; they are left out{end}"
            progress.warn(f"'{roi.segment.name}': {elsewhere} contour(s) lie on no slice of the series, {lost}")
        voxels.append(int(np.count_nonzero(mask)))
        yield mask


def in_layers(masks: Iterable[Bools], shape: tuple[int, ...], count: int) -> tuple[Array, list[int]]:
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
