"""From a reviewed segmentation to the DICOM SEG of what was approved, and to the PACS."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib import __version__
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.versions import versions
from NativeDLLib.dicom.person_name import person_name
from NativeDLLib.dicom.review import Review
from NativeDLLib.dicom.rtstruct import Reviewed
from NativeDLLib.dicom.seg import Kind, make_segmentation
from NativeDLLib.dicom.write import save
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.gates import examine_again
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.registry.segment_json import segment_json
from NativeDLLib.results.automatic import SLICER, AutomaticResult
from NativeDLLib.results.folder import check_output, costs, send_result, staged, uids_of
from NativeDLLib.results.saved import APPROVED, APPROVED_REPORT
from NativeDLLib.review.combine import combined
from NativeDLLib.review.decisions import Decision, ReviewedSegment, decided, judge
from NativeDLLib.source import Grid, Series
from NativeDLLib.source.where import Where
from NativeDLLib.volumes.seg_nrrd_reader import read_seg_nrrd

_REVIEWED = "reviewed"
_STRUCTURES = "approved_rtstruct.dcm"
_FILES = (APPROVED, _STRUCTURES, APPROVED_REPORT)


@dataclass(frozen=True)
class Approval:
    """What to approve.

    Attributes
    ----------
    result
        Folder of the automatic result; it stays as it is.
    where
        Series that it was made from.
    edited
        Segmentation as Slicer saved it; None for that of the result, as it is.
    reviewer
        Who reviewed it, as a person writes a name.
    output
        Folder for the SEG and its report.
    unreviewed
        Whether segments that nobody decided about are stored too.
    kind
        BINARY, in which segments may overlap, or LABELMAP.
    structures
        Whether to write an RT Structure Set too.
    decisions
        ``accepted`` or ``rejected`` for segments by name, in place of what `edited` says.
    target
        Peer to send to.
    overwrite
        Whether an approved result in `output` may be replaced.
    """

    result: Path
    where: Where
    edited: Path | None
    reviewer: str
    output: Path
    unreviewed: bool = False
    kind: Kind = "BINARY"
    structures: bool = False
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    target: Peer | None = None
    overwrite: bool = False
    _started: float = field(default_factory=time.perf_counter)


def approve(job: Approval, progress: Progress) -> dict[str, Any]:
    """Make a SEG of what a physician approved, write it, send it.

    Returns
    -------
    dict
        The report, as it is written to ``approved.json``. Where nothing is left to be stored, its outcome is
        ``rejected`` and nothing has been written.

    Raises
    ------
    NativeDLError
        With the exit code that says of what kind it is. Unless it is a `PacsError` at the end, nothing has been
        written.
    """
    reviewer = person_name(job.reviewer)
    job.where.check()
    check_output(job.output, _FILES, job.overwrite)
    automatic = AutomaticResult.read(job.result)
    where = job.where.narrowed(automatic.series_uid, automatic.study_uid, f"the result in {automatic.folder}")
    with where.open_series(progress) as series:
        return _approve(job, reviewer, automatic, series, progress)


def _approve(
    job: Approval, reviewer: str, automatic: AutomaticResult, series: Series, progress: Progress
) -> dict[str, Any]:
    with progress.stage("read"):
        edited = read_seg_nrrd(job.edited or job.result / SLICER)
        labels = automatic.labels(series)
    with progress.stage("compare"):
        judged = decided(judge(edited, automatic, labels, series.grid, progress), job.decisions)
    _check_pending(judged, job.unreviewed)
    for segment in judged:
        if segment.outside and segment.decision != "rejected":
            progress.warn(
                f"segment '{segment.segment.name}': {segment.outside} voxels lie outside the source and are left out"
            )
    stored = [segment for segment in judged if segment.is_stored]
    # Segment Numbers count from one without a gap (PS3.3 C.8.20.2).
    numbered = [replace(segment.segment, number=number) for number, segment in enumerate(stored, 1)]
    report = _report(automatic, series, judged, reviewer)
    if not stored:
        progress.warn("no segment is left to be approved: no SEG is written")
        return report | {"warnings": list(progress.warnings), **costs(job._started, progress)}
    with staged(job.output, _FILES) as partial:
        with progress.stage("write"):
            review = Review(reviewer, _status(stored), tuple(s.algorithm_type for s in stored), automatic.predecessor)
            pixels = combined(stored, series.grid, job.kind)
            quality = _quality(pixels, series.grid, stored, automatic)
            report["quality"] = [asdict(finding) for finding in quality]
            for finding in quality:
                progress.warn(finding.message)
            made_by = automatic.algorithm
            dataset = make_segmentation(
                series, pixels, numbered, made_by, kind=job.kind, review=review, findings=quality, buffered=True
            )
            save(dataset, partial / APPROVED)
            report["segmentation"] = uids_of(dataset) | {"type": job.kind}
            if job.structures:
                kinds, reviewed = review.algorithm_types, Reviewed(reviewer, approved=review.status == _REVIEWED)
                dataset = whole_structure_set(
                    series, pixels, numbered, made_by, progress, types=kinds, review=reviewed, findings=quality
                )
                save(dataset, partial / _STRUCTURES)
                report["structure_set"] = uids_of(dataset)
            progress.check()
        absent = () if job.structures else (_STRUCTURES,)
        report["files"] = {name: str(job.output / name) for name in _FILES if name not in absent}
        report |= {"warnings": list(progress.warnings), **costs(job._started, progress)}
        write_json(partial / APPROVED_REPORT, report)
    if job.target is not None:
        files = [job.output / name for name in (APPROVED, _STRUCTURES) if name in report["files"]]
        send_result(files, job.output / APPROVED_REPORT, report, job.target, job._started, progress)
    return report


def _quality(
    pixels: npt.NDArray[Any], grid: Grid, stored: Sequence[ReviewedSegment], automatic: AutomaticResult
) -> list[Finding]:
    """Return what is to be checked about what is stored; segments are called by the names that they have now."""
    now = {automatic.segments[s.segment.number].name: s.segment.name for s in stored if s.segment.number}
    before = [
        replace(finding, segment=now.get(finding.segment, "")) if finding.segment else finding
        for finding in automatic.quality
    ]
    voxel_ml = float(np.prod(grid.spacing)) / 1000
    volumes = [segment.mask.voxels * voxel_ml for segment in stored]
    return examine_again(pixels, grid, [segment.segment for segment in stored], volumes, before)


def _report(
    automatic: AutomaticResult, series: Series, judged: Sequence[ReviewedSegment], reviewer: str
) -> dict[str, Any]:
    return {
        "nativedl": __version__,
        "outcome": _outcome([segment for segment in judged if segment.is_stored]),
        "reviewer": reviewer,
        "series": {
            "study_instance_uid": series.text("StudyInstanceUID"),
            "series_instance_uid": series.uid,
            "modality": series.text("Modality"),
        },
        "algorithm": asdict(automatic.algorithm),
        "predecessor": None if automatic.predecessor is None else asdict(automatic.predecessor),
        "segmentation": None,
        "structure_set": None,
        "segments": _rows(judged, series.grid),
        "quality": [],
        "files": {},
        "sent": None,
        "versions": versions(),
    }


def _check_pending(judged: Sequence[ReviewedSegment], unreviewed: bool) -> None:
    pending = [segment.segment.name for segment in judged if segment.decision == "pending"]
    if pending and not unreviewed:
        names = ", ".join(f"'{name}'" for name in pending[:8]) + (" ..." if len(pending) > 8 else "")
        raise UsageError(
            f"{len(pending)} segment(s) are not reviewed: {names}; accept or reject them",
            hint="or give --unreviewed to store them as they are",
        )


def _status(stored: Sequence[ReviewedSegment]) -> str:
    pending = sum(segment.decision == "pending" for segment in stored)
    if not pending:
        return _REVIEWED
    return "not reviewed" if pending == len(stored) else "partly reviewed"


def _outcome(stored: Sequence[ReviewedSegment]) -> str:
    if not stored:
        return "rejected"
    status = _status(stored)
    return "approved" if status == _REVIEWED else status


def _rows(judged: Sequence[ReviewedSegment], grid: Grid) -> list[dict[str, Any]]:
    voxel_ml, number, rows = float(np.prod(grid.spacing)) / 1000, 0, []
    for segment in judged:
        number += segment.is_stored
        rows.append(
            segment_json(segment.segment)
            | {
                "number": number if segment.is_stored else None,
                "automatic_number": segment.segment.number or None,
                "decision": segment.decision,
                "algorithm_type": segment.algorithm_type,
                "voxels": segment.mask.voxels,
                "volume_ml": round(segment.mask.voxels * voxel_ml, 3),
                "changed_voxels": segment.changed,
            }
        )
    return rows
