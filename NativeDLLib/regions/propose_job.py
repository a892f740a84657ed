"""From the folder of a result to the regions that a physician validates or rejects."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.regions.file import write_regions
from NativeDLLib.regions.propose import LARGEST_TOLERANCE_MM, find_slice, propose
from NativeDLLib.regions.region import RegionSet
from NativeDLLib.results.report import Report
from NativeDLLib.results.saved import SavedResult
from NativeDLLib.source.where import Where


def propose_regions(
    folder: Path,
    where: Where,
    output: Path,
    progress: Progress,
    *,
    slice_name: str | None = None,
    tolerance: float | None = None,
) -> Report:
    """Write the regions of a result, of a run or of an approval, to a file, which is replaced.

    `slice_name` and `tolerance` are those of `find_slice` and `propose`; by default all slices. The report is written
    to no file. After an error nothing is written.
    """
    started = time.perf_counter()
    if tolerance is not None and not 0 <= tolerance <= LARGEST_TOLERANCE_MM:
        raise UsageError(f"tolerance: {tolerance:g} is not from 0 to {LARGEST_TOLERANCE_MM:g} mm")
    result = SavedResult.read(folder)
    with where.narrowed(result.series_uid, result.study_uid, f"the result in {folder}").open_series(progress) as series:
        slices = None if slice_name is None else [find_slice(series, slice_name)]
    with progress.stage("read"):
        labels = result.labels(series)
    with progress.stage("outline"):
        segments = [segment for segment, _ in result.segments.values()]
        regions = propose(series, labels, segments, slices=slices, tolerance=tolerance, progress=progress)
    if not regions:
        progress.warn("nothing was found there: no region is proposed")
    uids = [series.text(name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")]
    with progress.stage("write"):
        made_by, described = result.algorithm, tuple(result.segments.values())
        write_regions(output, RegionSet(uids[0], uids[1], uids[2], made_by, described, tuple(regions)))
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
