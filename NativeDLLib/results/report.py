"""Report of a result: what was made of which series, by which algorithm, with which findings, at what cost."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib import __version__
from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.progress import Progress, StageCost
from NativeDLLib.core.versions import versions
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.quality.finding import Finding
from NativeDLLib.results.names import REPORT

if TYPE_CHECKING:
    from NativeDLLib.source import Source
    from NativeDLLib.source.where import Where


@dataclass(frozen=True)
class ReportedSeries:
    """Source of a result; UIDs are None for an image without DICOM origin, size and spacing are (x, y, z). ``volume``
    are attributes as ``KEY=VALUE`` that tell it where its series is several volumes.
    """

    study_instance_uid: str | None
    series_instance_uid: str | None
    modality: str = ""
    size: Sequence[int] = ()
    spacing_mm: Sequence[float] = ()
    volume: Sequence[str] = ()

    @classmethod
    def of(cls, source: "Source") -> "ReportedSeries":
        """Row of a source in the report."""
        uids = source.text("StudyInstanceUID") or None, source.text("SeriesInstanceUID") or None
        return cls(*uids, source.text("Modality"), source.grid.size, source.grid.spacing, getattr(source, "volume", ()))

    def within(self, where: "Where", result: str) -> "Where":
        """Place of the series of this `result`; InputError where another series or volume was asked for."""
        if where.series not in (None, self.series_instance_uid):
            raise InputError(f"series {where.series}: {result} was made from series {self.series_instance_uid}")
        if where.volume and self.volume and where.volume != tuple(self.volume):
            raise InputError(f"{' '.join(where.volume)}: {result} was made from the volume {' '.join(self.volume)}")
        study, volume = where.study or self.study_instance_uid, where.volume or tuple(self.volume)
        return replace(where, series=self.series_instance_uid, study=study, volume=volume)


@dataclass(frozen=True)
class StoredObject:
    """DICOM object of a result; the type of a SEG is BINARY or LABELMAP."""

    sop_instance_uid: str
    series_instance_uid: str
    type: str = ""


@dataclass(frozen=True)
class ModelName:
    """Model of the registry."""

    id: str
    version: str
    runtime: str = ""
    registry: str = ""  # file of its entry
    entry_sha256: str = ""  # of the canonical JSON of its entry


@dataclass
class Sent:
    """Delivery to a peer, with the reason where it has not succeeded yet."""

    peer: str
    delivered: bool
    reason: str = ""


@dataclass
class Report:
    """Report of one result, as ``Resources/report.schema.json`` describes it."""

    outcome: str  # outcome in a word, such as ``segmented``, ``empty``, ``approved`` or ``rejected``
    series: ReportedSeries | None = None
    model: ModelName | None = None
    algorithm: Algorithm | None = None  # as the DICOM objects tell it
    device: str = ""  # device of the network, with its runtime
    # A row for each segment: number, name, colour and codes (see `segment_json`), and its measures.
    segments: list[dict[str, Any]] = field(default_factory=list)
    quality: list[Finding] = field(default_factory=list)  # to be checked
    segmentation: StoredObject | None = None  # SEG, where one was written
    structure_set: StoredObject | None = None
    details: dict[str, Any] = field(default_factory=dict)  # all else that a command reports
    files: dict[str, str] = field(default_factory=dict)  # path of each file of the result, by name
    warnings: list[str] = field(default_factory=list)
    sent: Sent | None = None  # delivery to a peer; None where nothing was to be sent
    stages: list[StageCost] = field(default_factory=list)
    forward_seconds: float = 0.0  # time in the network's forward passes
    seconds: float = 0.0  # wall time
    peak_mib: float = 0.0  # highest resident memory
    versions: dict[str, str] = field(default_factory=dict)  # Python and what may change a result
    nativedl: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that fit the schema."""
        rows = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "details"}
        rows |= {name: _given(value) for name, value in rows.items() if is_dataclass(value)}
        rows |= {name: [asdict(row) for row in rows[name]] for name in ("quality", "stages")}
        absent = [name for name in ("series", "model", "algorithm", "device", "forward_seconds") if not rows[name]]
        return self.details | {name: value for name, value in rows.items() if name not in absent}

    @classmethod
    def from_json(cls, data: Any, where: str = REPORT, *, check: bool = True) -> "Report":
        """Report of JSON values, also of one of an earlier version. `where` names their origin in messages. `check`
        holds them against the schema first, a tenth of a second for a hundred segments. InputError where it is none.
        """
        if check:
            check_schema(data, "report.schema.json", Path(where), InputError, "segments")
        try:
            rows = dict(data)
            known = {part.name: rows.pop(part.name) for part in fields(cls) if part.name in rows.keys() - {"details"}}
            parts = {name: kind for name, kind in _PARTS.items() if known.get(name) is not None}
            known |= {name: _made(kind, known[name]) for name, kind in parts.items()}
            known |= {name: [_made(kind, row) for row in known.get(name, ())] for name, kind in _LISTS.items()}
            known["warnings"] = [str(warning) for warning in known.get("warnings", ())]
            return cls(**known, details=rows)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise InputError(f"{where}: is not a report of NativeDL, or is damaged") from error

    @classmethod
    def read(cls, path: Path, *, check: bool = True) -> "Report":
        """Return the report in a file; see `from_json`."""
        return cls.from_json(read_json(path, InputError), str(path), check=check)

    def complete(self, started: float, progress: Progress) -> None:
        """Add the warnings, the costs since `started` (`time.perf_counter`), and the versions of this process."""
        rows = costs(started, progress)
        self.stages = [StageCost(**row) for row in rows.pop("stages")]
        self.versions = {"python": platform.python_version(), **versions()}
        vars(self).update(rows, warnings=list(progress.warnings), nativedl=__version__)

    def write(self, path: Path) -> None:
        """Write the report, atomically."""
        write_json(path, self.to_json())


def costs(started: float, progress: Progress) -> dict[str, Any]:
    """Return time and memory of each stage since `started` (`time.perf_counter`), as JSON values."""
    stages = [asdict(StageCost(s.name, round(s.seconds, 3), round(s.peak_mib, 1))) for s in progress.stages]
    forward = {"forward_seconds": round(progress.forward.seconds, 3)} if progress.forward.seconds else {}
    peak = max((stage["peak_mib"] for stage in stages), default=0.0)
    return {"stages": stages, **forward, "seconds": round(time.perf_counter() - started, 3), "peak_mib": peak}


_PARTS: dict[str, Any] = {"series": ReportedSeries, "model": ModelName, "algorithm": Algorithm, "sent": Sent}
_PARTS |= dict.fromkeys(("segmentation", "structure_set"), StoredObject)
_LISTS: dict[str, Any] = {"quality": Finding, "stages": StageCost}


def _given(part: Any) -> dict[str, Any]:
    """Return a part as JSON values, without those that are as they are by default."""
    given = {row.name: getattr(part, row.name) for row in fields(part) if getattr(part, row.name) != row.default}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _made(kind: Any, row: Mapping[str, Any]) -> Any:
    """Return a part; what a later version has more in it is passed over."""
    return kind(**{part.name: row[part.name] for part in fields(kind) if part.name in row})
