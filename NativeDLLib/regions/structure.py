"""Regions as an RT Structure Set: those that a physician validated, or all of a segmentation."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Algorithm, AlgorithmType, Review, person_name
from NativeDLLib.dicom.rtstruct import Contour, Roi, make_structure_set
from NativeDLLib.quality.finding import Finding
from NativeDLLib.regions.propose import propose
from NativeDLLib.regions.region import Region, RegionSet, Status, read_regions
from NativeDLLib.registry.entry import Segment
from NativeDLLib.results.folder import Destination, ResultFolder
from NativeDLLib.results.names import EXPORT, RTSTRUCT
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.source import Plane, Series
from NativeDLLib.source.where import Where

# How far a line may lie off its slice: what decimals leave.
_OFF_MM = 0.01


def export_regions(
    path: Path,
    reviewer: str,
    where: Where,
    destination: Destination,
    progress: Progress,
    *,
    decisions: Mapping[str, Status] | None = None,
) -> Report:
    """Write the validated regions, and no others, as an approved RT Structure Set with a report, and send it.
    `reviewer` is the physician's name as a person writes it; `decisions` has ``validated`` or ``rejected`` by a
    region's id, in place of what the file says. NativeDLError where something is missing or wrong, or no region is
    validated; unless it is a `PacsError` at the end, nothing has been written.
    """
    review = Review(person_name(reviewer))
    folder = ResultFolder(destination, EXPORT, progress)
    with progress.stage("read"):
        given = _decided(path, read_regions(path), decisions or {})
    validated = [region for region in given.regions if region.status == "validated"]
    if not validated:
        raise UsageError(f"{path}: none of its {len(given.regions)} region(s) is validated")
    with folder, given.series.within(where, str(path)).open_series(progress) as series:
        _check_positions(path, given, validated, series)
        counts = Counter(region.status for region in given.regions)
        counted = {status: counts[status] for status in ("validated", "rejected", "proposed")}
        details = {"reviewer": review.reviewer, "decisions": counted}
        report = Report("approved", ReportedSeries.of(series), algorithm=given.algorithm, details=details)
        with progress.stage("write"):
            rois = rois_of(validated, {segment.number: kind for segment, kind in given.segments})
            dataset = make_structure_set(series, rois, given.algorithm, review)
            report.structure_set = folder.save(RTSTRUCT, dataset)
            progress.check()
        folder.report = report
    return report


def _decided(path: Path, given: RegionSet, decisions: Mapping[str, Status]) -> RegionSet:
    unknown = sorted(set(decisions) - {region.id for region in given.regions})
    if unknown:
        raise UsageError(f"{path}: has no region '{unknown[0]}'")
    regions = [replace(region, status=decisions.get(region.id, region.status)) for region in given.regions]
    return replace(given, regions=tuple(regions))


def _check_positions(path: Path, given: RegionSet, regions: list[Region], series: Series) -> None:
    """Check that regions are on the slices that they say they are on; the file may have come from anywhere."""
    uids = series.text("StudyInstanceUID"), series.text("FrameOfReferenceUID")
    if uids != (given.series.study_instance_uid, given.frame_of_reference_uid):
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
    labels: Array,
    segments: Sequence[Segment],
    algorithm: Algorithm,
    progress: Progress,
    *,
    review: Review | None = None,
    findings: Sequence[Finding] = (),
) -> Dataset:
    """Segmentation as a structure set, without segments of no voxel; see `propose` and `make_structure_set`."""
    regions = propose(series, labels, segments, progress=progress)
    types = () if review is None else review.algorithm_types
    kinds = dict(zip((segment.number for segment in segments), types, strict=False))
    return make_structure_set(series, rois_of(regions, kinds), algorithm, review, findings)
