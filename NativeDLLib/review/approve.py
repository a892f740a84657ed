"""From a reviewed segmentation to the DICOM SEG of what was approved, and to the PACS."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import REVIEWED, Kind, Review, person_name
from NativeDLLib.dicom.seg import make_segmentation
from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.gates import examine_again
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.registry.segment_json import segment_json
from NativeDLLib.results.folder import Destination, ResultFolder
from NativeDLLib.results.names import APPROVAL, APPROVED, APPROVED_STRUCTURES, SLICER
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.results.saved import SavedResult
from NativeDLLib.review.decisions import Decision, ReviewedSegment, compare_segments, decided
from NativeDLLib.review.masks import combined
from NativeDLLib.source import Grid, Series
from NativeDLLib.source.where import Where
from NativeDLLib.volumes.seg_nrrd_reader import read_seg_nrrd


@dataclass(frozen=True)
class Approval:
    """Approval of an automatic result."""

    result: Path  # folder of the automatic result; it stays as it is
    edited: Path | None  # segmentation as Slicer saved it; None for that of the result, as it is
    reviewer: str  # the physician, as a person writes the name
    where: Where  # series that the result was made from
    destination: Destination  # folder of the SEG and its report, and the peer to send to
    unreviewed: bool = False  # whether segments that nobody decided about are stored too
    kind: Kind = "BINARY"  # BINARY, in which segments may overlap, or LABELMAP
    structures: bool = False
    # ``accepted`` or ``rejected`` for segments by name, in place of what `edited` says.
    decisions: Mapping[str, Decision] = field(default_factory=dict)


def approve(approval: Approval, progress: Progress) -> Report:
    """Make a SEG of what a physician approved, write it, send it; return the report, as it is in ``approved.json``.
    Where nothing is left to be stored, its outcome is ``rejected`` and nothing has been written. So it is with every
    error, but a `PacsError` at the end.
    """
    reviewer = person_name(approval.reviewer)
    approval.where.check()
    folder = ResultFolder(approval.destination, APPROVAL, progress)
    automatic = SavedResult.read(approval.result, automatic=True)
    where = automatic.series.within(approval.where, f"the result in {automatic.folder}")
    with folder, where.open_series(progress) as series:
        with progress.stage("read"):
            edited = read_seg_nrrd(approval.edited or approval.result / SLICER)
            labels = automatic.labels(series)
        with progress.stage("compare"):
            compared = compare_segments(edited, automatic, labels, series.grid, progress)
            reviewed = decided(compared, approval.decisions)
        _check_pending(reviewed, approval.unreviewed)
        for segment in reviewed:
            if segment.outside and segment.decision != "rejected":
                told = f"{segment.outside} voxels lie outside the source and are left out"
                progress.warn(f"segment '{segment.segment.name}': {told}")
        stored = [segment for segment in reviewed if segment.is_stored]
        review = Review(reviewer, _status(stored), tuple(s.algorithm_type for s in stored), automatic.predecessor)
        folder.report = _report(automatic, series, reviewed, review)
        if not stored:
            progress.warn("no segment is left to be approved: no SEG is written")
            return folder.report
        with progress.stage("write"):
            report, algorithm = folder.report, automatic.algorithm
            # Segment Numbers count from one without a gap (PS3.3 C.8.20.2).
            segments = [replace(segment.segment, number=number) for number, segment in enumerate(stored, 1)]
            pixels = combined([(segment.segment.name, segment.mask) for segment in stored], series.grid, approval.kind)
            report.quality = _quality(pixels, series.grid, stored, automatic)
            for finding in report.quality:
                progress.warn(finding.message)
            about: dict[str, Any] = {"review": review, "findings": report.quality}
            dataset = make_segmentation(series, pixels, segments, algorithm, kind=approval.kind, buffered=True, **about)
            report.segmentation = folder.save(APPROVED, dataset, approval.kind)
            if approval.structures:
                dataset = whole_structure_set(series, pixels, segments, algorithm, progress, **about)
                report.structure_set = folder.save(APPROVED_STRUCTURES, dataset)
            progress.check()
    return folder.report


def _quality(pixels: Array, grid: Grid, stored: Sequence[ReviewedSegment], automatic: SavedResult) -> list[Finding]:
    """Findings of the stored segments, under their present names."""
    now = {automatic.segments[s.segment.number][0].name: s.segment.name for s in stored if s.segment.number}
    before = [
        replace(finding, segment=now.get(finding.segment, "")) if finding.segment else finding
        for finding in automatic.report.quality
    ]
    voxel_ml = float(np.prod(grid.spacing)) / 1000
    volumes = [segment.mask.voxels * voxel_ml for segment in stored]
    return examine_again(pixels, grid, [segment.segment for segment in stored], volumes, before)


def _report(automatic: SavedResult, series: Series, reviewed: Sequence[ReviewedSegment], review: Review) -> Report:
    outcome = "approved" if review.status == REVIEWED else review.status
    predecessor = None if review.predecessor is None else asdict(review.predecessor)
    return Report(
        outcome if any(segment.is_stored for segment in reviewed) else "rejected",
        ReportedSeries.of(series),
        algorithm=automatic.algorithm,
        segments=_rows(reviewed, series.grid),
        details={"reviewer": review.reviewer, "predecessor": predecessor},
    )


def _check_pending(reviewed: Sequence[ReviewedSegment], unreviewed: bool) -> None:
    pending = [segment.segment.name for segment in reviewed if segment.decision == "pending"]
    if pending and not unreviewed:
        names = ", ".join(f"'{name}'" for name in pending[:8]) + (" ..." if len(pending) > 8 else "")
        told = f"{len(pending)} segment(s) are not reviewed: {names}; accept or reject them"
        raise UsageError(told, hint="or give --unreviewed to store them as they are")


def _status(stored: Sequence[ReviewedSegment]) -> str:
    pending = sum(segment.decision == "pending" for segment in stored)
    if not pending:
        return REVIEWED
    return "not reviewed" if pending == len(stored) else "partly reviewed"


def _rows(reviewed: Sequence[ReviewedSegment], grid: Grid) -> list[dict[str, Any]]:
    voxel_ml, numbers = float(np.prod(grid.spacing)) / 1000, count(1)
    return [
        segment_json(segment.segment)
        | {
            "number": next(numbers) if segment.is_stored else None,
            "automatic_number": segment.segment.number or None,
            "decision": segment.decision,
            "algorithm_type": segment.algorithm_type,
            "voxels": segment.mask.voxels,
            "volume_ml": round(segment.mask.voxels * voxel_ml, 3),
            "changed_voxels": segment.changed,
        }
        for segment in reviewed
    ]
