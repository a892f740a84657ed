"""Regions that a model proposes on the slices of a series, with a physician's decisions, and their file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from NativeDLLib.core.arrays import Points
from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import write_text
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.dicom.provenance import Algorithm, AlgorithmType
from NativeDLLib.registry.entry import Segment
from NativeDLLib.registry.segment_json import segment_json, segment_of
from NativeDLLib.results.report import ReportedSeries
from NativeDLLib.source.geometry import FARTHEST_MM

Status = Literal["proposed", "validated", "rejected"]
# Of the coordinates in mm: a tenth of a micrometre, in 16 characters of a Decimal String at any place in a patient.
DECIMALS = 4
# About three million points: a whole body.
_LARGEST = 128 * 2**20


@dataclass(frozen=True)
class Region:
    """One part of a segment on one slice."""

    id: str  # name of the region in its set
    segment: Segment
    slice_index: int  # from 0 along the normal (row direction x column direction)
    sop_instance_uid: str
    frame: int | None  # Frame Number of the slice, from 1, in a multi-frame instance; else None
    points: Points  # closed line (n, 3) in mm, LPS, no point repeated; channels join its holes (PS3.3 C.8.8.6.3)
    area_mm2: float  # area within the line, without the holes
    status: Status = "proposed"


@dataclass(frozen=True)
class RegionSet:
    """Regions of one series from one result, by segment and slice, with the algorithm types of its segments."""

    series: ReportedSeries
    frame_of_reference_uid: str
    algorithm: Algorithm
    segments: tuple[tuple[Segment, AlgorithmType], ...]
    regions: tuple[Region, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; see ``Resources/regions.schema.json``."""
        return {
            "schema_version": "1.0",
            "series": {
                "study_instance_uid": self.series.study_instance_uid,
                "series_instance_uid": self.series.series_instance_uid,
                "frame_of_reference_uid": self.frame_of_reference_uid,
                **({"volume": list(self.series.volume)} if self.series.volume else {}),
            },
            "algorithm": asdict(self.algorithm),
            "segments": [segment_json(segment) | {"algorithm_type": kind} for segment, kind in self.segments],
            "regions": [_region_json(region) for region in self.regions],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RegionSet":
        """Set of values of `as_json` that fit the schema; ValueError for a fault that the schema cannot tell."""
        segments = [(segment_of(row), row["algorithm_type"]) for row in data["segments"]]
        by_number = {segment.number: segment for segment, _ in segments}
        if len(by_number) < len(segments):
            raise ValueError("two segments have the same number")
        regions = [_region(row, by_number) for row in data["regions"]]
        if len({region.id for region in regions}) < len(regions):
            raise ValueError("two regions have the same id")
        row = data["series"]
        volume = tuple(row.get("volume", ()))
        series = ReportedSeries(row["study_instance_uid"], row["series_instance_uid"], volume=volume)
        algorithm = Algorithm(**data["algorithm"])
        return cls(series, row["frame_of_reference_uid"], algorithm, tuple(segments), tuple(regions))


def write_regions(path: Path, regions: RegionSet) -> None:
    """Write regions, atomically."""
    data = regions.as_json()
    rows = ",\n  ".join(json.dumps(row) for row in data.pop("regions"))
    head = json.dumps(data, indent=1)[: -len("\n}")]
    write_text(path, f'{head},\n "regions": [\n  {rows}\n ]\n}}\n')


def read_regions(path: Path) -> RegionSet:
    """Regions in a file; InputError where it is missing, or not as ``Resources/regions.schema.json`` asks."""
    data = read_json(path, InputError, _LARGEST)
    check_schema(data, "regions.schema.json", path, InputError, "regions")
    try:
        return RegionSet.from_json(data)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _region_json(region: Region) -> dict[str, Any]:
    row = vars(region) | {"segment": region.segment.number, "points": region.points.tolist()}
    return row | {"slice": row.pop("slice_index")}


def _region(row: Mapping[str, Any], segments: Mapping[int, Segment]) -> Region:
    if row["segment"] not in segments:
        raise ValueError(f"region '{row['id']}' is of segment {row['segment']}, which is not in the file")
    place = int(row["slice"]), row["sop_instance_uid"], row["frame"]
    points, area_mm2 = _points(row["points"], row["id"]), float(row["area_mm2"])
    return Region(row["id"], segments[row["segment"]], *place, points, area_mm2, row["status"])


def _points(rows: Sequence[Any], name: str) -> Points:
    # Looked at as an array: a schema would take minutes for the coordinates of a whole body.
    try:
        points = np.array(rows)
    except ValueError:
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "if":
        raise ValueError(f"the points of region '{name}' are not all of three coordinates")
    if not np.all(np.abs(points) <= FARTHEST_MM):
        raise ValueError(f"a point of region '{name}' lies where no patient is")
    return points.astype(float)
