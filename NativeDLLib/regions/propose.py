"""Regions that are proposed to a physician: outlines of a segmentation on the slices of its series."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from NativeDLLib.core.arrays import Array, Bools
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.regions.outlines import area, outlines
from NativeDLLib.regions.region import DECIMALS, Region, RegionSet, write_regions
from NativeDLLib.registry.entry import Segment
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.results.saved import SavedResult
from NativeDLLib.source import Plane, Series
from NativeDLLib.source.where import Where

_LARGEST_TOLERANCE_MM = 10.0


def propose_regions(
    folder: Path,
    where: Where,
    output: Path,
    progress: Progress,
    *,
    slice_name: str | None = None,
    tolerance: float | None = None,
) -> Report:
    """Write the regions of a result, of a run or of an approval, to a file, which is replaced. `slice_name` and
    `tolerance` are those of `find_slice` and `propose`; by default all slices. The report is written to no file. After
    an error nothing is written.
    """
    started = time.perf_counter()
    if tolerance is not None and not 0 <= tolerance <= _LARGEST_TOLERANCE_MM:
        raise UsageError(f"tolerance: {tolerance:g} is not from 0 to {_LARGEST_TOLERANCE_MM:g} mm")
    result = SavedResult.read(folder)
    with result.series.within(where, f"the result in {folder}").open_series(progress) as series:
        slices = None if slice_name is None else [find_slice(series, slice_name)]
    with progress.stage("read"):
        labels = result.labels(series)
    with progress.stage("outline"):
        segments = [segment for segment, _ in result.segments.values()]
        regions = propose(series, labels, segments, slices=slices, tolerance=tolerance, progress=progress)
    if not regions:
        progress.warn("nothing was found there: no region is proposed")
    given = ReportedSeries(series.text("StudyInstanceUID"), series.uid, volume=series.volume)
    with progress.stage("write"):
        made_by, described = result.algorithm, tuple(result.segments.values())
        write_regions(output, RegionSet(given, series.text("FrameOfReferenceUID"), made_by, described, tuple(regions)))
    counts = Counter(region.segment.number for region in regions)
    report = Report(
        "proposed" if regions else "empty",
        segments=[{"number": s.number, "name": s.name, "regions": counts[s.number]} for s in segments],
        details={
            "regions": len(regions),
            "slices": len({region.slice_index for region in regions}),
            "points": sum(len(region.points) for region in regions),
        },
        files={output.name: str(output)},
    )
    report.complete(started, progress)
    return report


def propose(
    series: Series,
    labels: Array,
    segments: Sequence[Segment],
    *,
    slices: Iterable[int] | None = None,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> list[Region]:
    """Regions of a segmentation, in the order of segments and slices, by default of all slices. `labels` is (z, y, x)
    of Segment Numbers, or (z, y, x, segment) of booleans. `tolerance` is in mm (see `outlines`); by default the mask
    stays the same.
    """
    planes = [Plane.of(series, index) for index in (range(len(series.slices)) if slices is None else slices)]
    regions = []
    for column, segment in enumerate(segments):
        for plane in planes:
            if progress is not None:
                progress.check()
            whole = labels[plane.index]
            mask = whole[..., column] if labels.ndim == 4 else whole == segment.number
            if mask.any():
                regions += _regions(plane, np.asarray(mask, bool), segment, tolerance)
    return regions


def find_slice(series: Series, text: str) -> int:
    """Index of a slice, from 0 along the normal. `text` is the SOP Instance UID of a single-frame image, the index, or
    a point on or near the slice, ``x,y,z`` in mm, LPS. UsageError where there is no such slice, or the instance has
    several.
    """
    count = len(series.slices)
    if text.count(",") == 2:
        return _nearest(series, text)
    if text.isdecimal() and len(text) < 10:
        if int(text) < count:
            return int(text)
        raise UsageError(f"there is no slice {text}: the series has {count} slices, from 0 to {count - 1}")
    found = [i for i, s in enumerate(series.slices) if series.instances[s.instance].text("SOPInstanceUID") == text]
    if not found:
        raise UsageError(f"slice: {text[:64]} is neither an instance of series {series.uid} nor the index of a slice")
    if len(found) > 1:
        raise UsageError(f"slice: the instance has {len(found)} slices; give the index of one, from 0")
    return found[0]


def _nearest(series: Series, text: str) -> int:
    try:
        point = np.array([float(part) for part in text.split(",")])
    except ValueError as error:
        raise UsageError(f"slice {text}: a point is x,y,z in mm") from error
    direction = np.reshape(series.grid.direction, (3, 3))
    height = float((point - np.array(series.grid.origin)) @ direction[:, 2]) / series.grid.spacing[2]
    last = len(series.slices) - 1
    # Half a slice is as far as one reaches.
    if not -0.5 <= height <= last + 0.5:
        place = ", ".join(f"{value:.1f}" for value in point)
        outside = max(-height, height - last) * series.grid.spacing[2]
        raise UsageError(f"no slice of the series is there: the place {place} mm lies {outside:.1f} mm outside them")
    return min(max(round(height), 0), last)


def _regions(plane: Plane, mask: Bools, segment: Segment, tolerance: float | None) -> list[Region]:
    across, down = (float(length) for length in np.linalg.norm(plane.axes, axis=1))
    place, regions = (plane.index, plane.sop_instance_uid, plane.frame), []
    for part, line in enumerate(outlines(mask, (across, down), tolerance), 1):
        # As they are stored, without what is twice in a row then.
        points = np.round(plane.to_patient(line), DECIMALS) + 0.0
        points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
        name, area_mm2 = f"{segment.number}.{plane.index}.{part}", round(area(line) * across * down, 3)
        regions.append(Region(name, segment, *place, points, area_mm2))
    return regions
