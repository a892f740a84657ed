"""Facts before a run: ``inspect`` (a series and the models for it), ``devices``, ``database``."""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from NativeDLLib.cli.options import add_command, add_pacs, add_source, source_of
from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.device import available_devices, check_device
from NativeDLLib.panel.wording import shown_name
from NativeDLLib.quality.look import parts_seen
from NativeDLLib.registry import Candidate, load_models, rank
from NativeDLLib.registry.select import is_unknown
from NativeDLLib.registry.weights import check_there, to_be_fetched
from NativeDLLib.segment.estimate import expect
from NativeDLLib.segment.remote_connection import known_servers
from NativeDLLib.source import Series
from NativeDLLib.source.database import list_series
from NativeDLLib.source.volumes import SeveralVolumesError

_FACTS = {
    "Name": "PatientName",
    "Patient ID": "PatientID",
    "Birth date": "PatientBirthDate",
    "Sex": "PatientSex",
    "Accession number": "AccessionNumber",
    "Institution": "InstitutionName",
    "Referring physician": "ReferringPhysicianName",
    "Study date": "StudyDate",
    "Study time": "StudyTime",
    "Study ID": "StudyID",
    "Study UID": "StudyInstanceUID",
    "Study": "StudyDescription",
    "Series": "SeriesDescription",
}
_NO_DICOM = "The volume does not come from DICOM images, and a DICOM SEG must refer to the images it was made from."
_MOVED = (
    "The volume's voxels are not those of its DICOM slices: it was resampled, or a transform was hardened on it. "
    "A DICOM SEG of it would lie in the wrong place."
)
_LEFT = "The images that the volume was loaded from are no longer in Slicer's DICOM database; import them again."


def add_commands(subparsers: Any) -> None:
    """Register the commands."""
    parser = add_command(subparsers, "inspect", _inspect, "show a series, the models for it, and what each will take")
    add_source(parser, "Series Instance UID, where there is more than one")
    add_pacs(parser)
    parser.add_argument("--device", default="auto", metavar="NAME", help="for the time and memory expected")
    # For the panel: a loaded volume as JSON {"size": [3 numbers], "ijk_to_ras": [16 numbers]}, "from_dicom": true where
    # it came from images. It is compared with the series; one that was made regular at loading takes its place.
    parser.add_argument("--loaded", metavar="JSON", help=argparse.SUPPRESS)
    parser.add_argument("--regularized", action="store_true", help=argparse.SUPPRESS)
    add_command(subparsers, "devices", _devices, "list the devices that models can run on")
    database = add_command(subparsers, "database", _database, "list the image series of Slicer's DICOM database")
    database.add_argument("database", type=Path, metavar="FILE", help="ctkDICOM.sql, or its folder")


def _inspect(args: argparse.Namespace, progress: Progress) -> None:
    check_device(args.device)
    volume = _volume(args.loaded) if args.loaded else None
    has_series = volume is None or any((args.input, args.paths, args.files, args.database, args.source_peer))
    where = source_of(args) if has_series else None
    with ExitStack() as opened:
        source: Series | _Volume | None = volume
        no_seg = _LEFT if volume is not None and volume.from_dicom else _NO_DICOM
        try:
            if where is not None:
                source = opened.enter_context(where.open_series(progress))
                stays = volume is None or source.grid.has_voxels_of(volume.size, volume.ijk_to_ras)
                no_seg = "" if stays else _MOVED
        except SeveralVolumesError as error:
            progress.warn(str(error), hint="take one with --volume KEY=VALUE")
            lines = [f"{' '.join(attributes)}  {slices} slices" for attributes, slices in error.volumes]
            progress.result(_volumes(error), *lines)
            return
        except InputError as error:
            if not args.regularized or volume is None:
                raise
            no_seg = f"Slicer resampled the volume when it loaded it. {error}"
        assert source is not None
        report = _inspection(source, volume, no_seg, args.device)
    progress.result(report, *_lines(report))


def _inspection(source: "Series | _Volume", volume: "_Volume | None", no_seg: str, device: str) -> dict[str, Any]:
    # What was moved is segmented as it is now.
    grid = source.grid if isinstance(source, Series) and not no_seg else volume
    assert grid is not None
    size, spacing = grid.size, grid.spacing
    models = load_models().values()
    seen = parts_seen(source) if isinstance(source, Series) and is_unknown(models, source) else []
    instances: list[str] = []
    # A panel that has loaded the whole series takes these, where it is several volumes.
    if isinstance(source, Series) and source.volume:
        places = sorted({plane.instance for plane in source.slices})
        instances = [source.instances[place].text("SOPInstanceUID") for place in places]
    return {
        "facts": {name: _shown(keyword, source.text(keyword)) for name, keyword in _FACTS.items()},
        "series": source.text("SeriesInstanceUID") or None,
        "modality": source.text("Modality") or None,
        "size": size,
        "spacing_mm": spacing,
        "warnings": list(source.warnings),
        "no_seg_because": no_seg or None,
        "models": [_candidate(c, size, spacing, device) for c in rank(models, source, seen)],
        "volumes": [],
        "instances": instances,
    }


def _volumes(error: SeveralVolumesError) -> dict[str, Any]:
    """Report of a series that is several volumes: what each is taken by."""
    volumes = [{"volume": list(attributes), "slices": slices} for attributes, slices in error.volumes]
    unknown = dict.fromkeys(("series", "modality", "size", "spacing_mm", "no_seg_because"))
    return {"facts": {}, **unknown, "warnings": [str(error)], "models": [], "volumes": volumes, "instances": []}


@dataclass(frozen=True)
class _Volume:
    """A volume of which only the place is known."""

    size: tuple[int, int, int]
    ijk_to_ras: tuple[float, ...]
    from_dicom: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, ...]:
        matrix = self.ijk_to_ras
        return tuple(round(math.hypot(*(matrix[4 * row + column] for row in range(3))), 6) for column in range(3))

    def text(self, _: str) -> str:
        return ""


def _volume(text: str) -> _Volume:
    try:
        given = json.loads(text)
        size, matrix = tuple(int(n) for n in given["size"]), tuple(float(v) for v in given["ijk_to_ras"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"--loaded: is not what it should be ({type(error).__name__}: {error})") from error
    if len(size) != 3 or min(size) < 1 or len(matrix) != 16 or not all(map(math.isfinite, matrix)):
        raise UsageError("--loaded: needs three sizes from 1 and sixteen finite numbers")
    volume = _Volume((size[0], size[1], size[2]), matrix, given.get("from_dicom") is True)
    if min(volume.spacing) <= 0:
        raise UsageError("--loaded: ijk_to_ras has a column without length")
    return volume


def _candidate(candidate: Candidate, size: tuple[int, ...], spacing: tuple[float, ...], device: str) -> dict[str, Any]:
    model = candidate.model
    expected = expect(model, size, spacing, device)
    problem: str | None = None
    try:
        check_there(model)
    except ModelError as error:
        problem = str(error)
    return {
        **candidate.as_json(),
        **{key: getattr(model, key) for key in ("title", "version", "description", "intended_use", "runtime")},
        "card": str(model.card) if model.card else None,
        "segments": [segment.name for segment in model.segments],
        "parameters": [asdict(parameter) for parameter in model.parameters],
        "expected": asdict(expected) if expected else None,
        "problem": problem,
        "to_be_fetched": to_be_fetched(model),
    }


def _shown(keyword: str, value: str) -> str:
    if keyword in ("PatientName", "ReferringPhysicianName"):
        return shown_name(value)
    if keyword.endswith("Date") and len(value) == 8 and value.isdecimal():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    if keyword.endswith("Time") and value[:6].isdecimal() and len(value) >= 6:
        return f"{value[:2]}:{value[2:4]}:{value[4:6]}"
    return value


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name}: {value}" for name, value in report["facts"].items())
    yield f"Voxels: {' x '.join(map(str, report['size']))}, {' x '.join(f'{s:g}' for s in report['spacing_mm'])} mm"
    yield from (f"Warning: {warning}" for warning in report["warnings"])
    for model in report["models"]:
        verdict, expected = "fits" if model["fits"] else "does not fit", model["expected"]
        took = f"; about {expected['seconds']:.0f} s ({expected['basis']})" if expected else ""
        yield f"{model['id']}: {verdict}: {'; '.join(model['reasons'])}{took}"


def _devices(args: argparse.Namespace, progress: Progress) -> None:
    devices = available_devices() | dict.fromkeys(known_servers(), "another computer, with nativedl serve")
    progress.result({"devices": devices}, *(f"{word}  {about}" for word, about in devices.items()))


def _database(args: argparse.Namespace, progress: Progress) -> None:
    rows = [_row(row) for row in list_series(args.database, ("CT", "MR", "PT"))]
    progress.result({"series": rows}, *("  ".join((*row["columns"], row["uid"])) for row in rows))


def _row(series: Mapping[str, Any]) -> dict[str, Any]:
    """Row of a list of series: columns, search text, UID and details."""
    texts = {keyword: _shown(keyword, str(value)) for keyword, value in series.items()}
    columns = [texts[keyword] for keyword in ("PatientName", "StudyDate", "SeriesDescription", "Modality", "instances")]
    more = [texts[keyword] for keyword in ("StudyDescription", "SeriesDescription") if texts[keyword]]
    # Each once, and name and date also as they are stored, as people copy them.
    found_by = [*columns, texts["StudyDescription"], texts["PatientID"], series["PatientName"], series["StudyDate"]]
    words = " ".join(filter(None, dict.fromkeys(found_by))).lower()
    return {"columns": columns, "words": words, "uid": texts["SeriesInstanceUID"], "tip": " · ".join(more)}
