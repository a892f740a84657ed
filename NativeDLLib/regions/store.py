"""From the regions that a physician has judged to the RT Structure Set of the validated ones, and to the PACS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib import __version__
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.versions import versions
from NativeDLLib.dicom.person_name import person_name
from NativeDLLib.dicom.rtstruct import Reviewed, make_structure_set
from NativeDLLib.dicom.write import save
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.regions.file import read_regions
from NativeDLLib.regions.region import Region, RegionSet, Status
from NativeDLLib.regions.structure import rois_of
from NativeDLLib.results.folder import check_output, costs, send_result, staged, uids_of
from NativeDLLib.source import Series
from NativeDLLib.source.plane import Plane
from NativeDLLib.source.where import Where

STRUCTURES, STRUCTURES_REPORT = "rtstruct.dcm", "rtstruct.json"
# How far a line may lie off its slice: what decimals leave.
_OFF_MM = 0.01


@dataclass(frozen=True)
class Export:
    """Validated regions to be stored.

    Attributes
    ----------
    regions
        File of the regions, with the decisions.
    decisions
        ``validated`` or ``rejected`` for regions by id, in place of what the file says.
    reviewer
        Who made them, as a person writes a name.
    where
        The series.
    output
        Folder for the structure set and its report.
    target
        Peer to send to.
    overwrite
        Whether a structure set in `output` may be replaced.
    """

    regions: Path
    reviewer: str
    where: Where
    output: Path
    decisions: Mapping[str, Status] = field(default_factory=dict)
    target: Peer | None = None
    overwrite: bool = False
    _started: float = field(default_factory=time.perf_counter)


def export_regions(job: Export, progress: Progress) -> dict[str, Any]:
    """Write the validated regions, and no others, as an approved RT Structure Set, and send it.

    Returns
    -------
    dict
        The report, as it is written to ``rtstruct.json``.

    Raises
    ------
    NativeDLError
        Where something is missing or wrong, or no region is validated. Unless it is a `PacsError` at the end, nothing
        has been written.
    """
    reviewer = person_name(job.reviewer)
    check_output(job.output, (STRUCTURES, STRUCTURES_REPORT), job.overwrite)
    with progress.stage("read"):
        given = _decided(read_regions(job.regions), job)
    validated = [region for region in given.regions if region.status == "validated"]
    if not validated:
        raise UsageError(f"{job.regions}: none of its {len(given.regions)} region(s) is validated")
    with job.where.narrowed(given.series_uid, given.study_uid, str(job.regions)).open_series(progress) as series:
        _check_places(job.regions, given, validated, series)
    types = {segment.number: kind for segment, kind in given.segments}
    report: dict[str, Any] = {
        "nativedl": __version__,
        "outcome": "approved",
        "reviewer": reviewer,
        "series": {"study_instance_uid": given.study_uid, "series_instance_uid": given.series_uid},
        "algorithm": asdict(given.algorithm),
        "decisions": _decisions(given.regions),
        "sent": None,
        "versions": versions(),
    }
    with staged(job.output, (STRUCTURES, STRUCTURES_REPORT)) as partial:
        with progress.stage("write"):
            dataset = make_structure_set(series, rois_of(validated, types), given.algorithm, Reviewed(reviewer))
            save(dataset, partial / STRUCTURES)
            progress.check()
        report["structure_set"] = uids_of(dataset)
        report["files"] = {name: str(job.output / name) for name in (STRUCTURES, STRUCTURES_REPORT)}
        report |= {"warnings": list(progress.warnings), **costs(job._started, progress)}
        write_json(partial / STRUCTURES_REPORT, report)
    if job.target is not None:
        files, kept = [job.output / STRUCTURES], job.output / STRUCTURES_REPORT
        send_result(files, kept, report, job.target, job._started, progress)
    return report


def _decided(given: RegionSet, job: Export) -> RegionSet:
    unknown = sorted(set(job.decisions) - {region.id for region in given.regions})
    if unknown:
        raise UsageError(f"{job.regions}: has no region '{unknown[0]}'")
    regions = [replace(region, status=job.decisions.get(region.id, region.status)) for region in given.regions]
    return replace(given, regions=tuple(regions))


def _decisions(regions: Sequence[Region]) -> dict[str, int]:
    counts = Counter(region.status for region in regions)
    return {"validated": counts["validated"], "rejected": counts["rejected"], "proposed": counts["proposed"]}


def _check_places(path: Path, given: RegionSet, regions: list[Region], series: Series) -> None:
    """Check that regions are on the slices that they say they are on; the file may have come from anywhere."""
    uids = series.text("StudyInstanceUID"), series.text("FrameOfReferenceUID")
    if uids != (given.study_uid, given.frame_of_reference_uid):
        raise InputError(f"{path}: study or frame of reference are not those of series {series.uid}")
    columns, rows, count = series.grid.size
    for region in regions:
        place = Plane.of(series, region.slice_index) if region.slice_index < count else None
        if place is None or (place.sop_instance_uid, place.frame) != (region.sop_instance_uid, region.frame):
            raise InputError(f"{path}: region '{region.id}' is not on slice {region.slice_index} of the series")
        pixels = place.to_pixels(region.points)
        off = float(np.abs(place.heights(region.points)).max())
        if off > _OFF_MM or np.any(np.abs(pixels - [columns / 2, rows / 2]) > [columns / 2 + 1, rows / 2 + 1]):
            raise InputError(f"{path}: region '{region.id}' is not within its slice (it is {off:.2f} mm off its plane)")
