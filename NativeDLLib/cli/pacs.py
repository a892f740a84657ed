"""The commands that speak to a PACS: ``echo``, ``find``, ``get``, ``send`` and ``outbox``."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.cli.options import add_command, add_pacs, peer_named
from NativeDLLib.cli.show_progress import shown
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs import services
from NativeDLLib.pacs.delivery import Delivery, complain, deliver, send
from NativeDLLib.pacs.ledger import Entry
from NativeDLLib.pacs.outbox import Outbox
from NativeDLLib.pacs.peers import load_peers

if TYPE_CHECKING:
    from pydicom import Dataset

_FILTERS = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "accession": "AccessionNumber",
}
_COLUMNS = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": ("StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "StudyDescription", "StudyInstanceUID"),
    "SERIES": ("SeriesNumber", "Modality", "NumberOfSeriesRelatedInstances", "SeriesDescription", "SeriesInstanceUID"),
}


def add_commands(subparsers: Any) -> None:
    """Register the commands."""
    echo = _command(subparsers, "echo", _echo, "ask a PACS whether it answers (C-ECHO)")
    echo.add_argument("peer", metavar="PEER")

    find = _command(subparsers, "find", _find, "find patients, studies or series on a PACS (C-FIND, QIDO-RS)")
    find.add_argument("peer", metavar="PEER")
    find.add_argument("--level", choices=("study", "series", "patient"), default="study")
    add_study_filters(find)
    find.add_argument("--modality", metavar="CT")
    find.add_argument("--study", metavar="UID", help="needed with --level series")
    find.add_argument("--series", metavar="UID")

    get = _command(subparsers, "get", _get, "retrieve a study or series from a PACS (C-GET, C-MOVE, WADO-RS)")
    get.add_argument("peer", metavar="PEER")
    get.add_argument("--study", metavar="UID", required=True)
    get.add_argument("--series", metavar="UID", help="without it the whole study")
    get.add_argument("-o", "--output", metavar="DIR", type=Path, required=True)

    put = _command(subparsers, "send", _send, "send DICOM files to a PACS through the outbox (C-STORE, STOW-RS)")
    put.add_argument("peer", metavar="PEER")
    put.add_argument("paths", metavar="FILE|DIR", nargs="+", type=Path)

    outbox = _command(subparsers, "outbox", _outbox, "show, send or drop what waits for a PACS")
    outbox.add_argument("action", choices=("list", "send", "drop"))
    outbox.add_argument("ids", metavar="ID", nargs="*", type=int, help="objects; without them send takes all")
    outbox.add_argument("--all", action="store_true", help="all objects, for drop")
    outbox.add_argument("--due", action="store_true", help="send only those whose next attempt is due")
    outbox.add_argument("--peer", metavar="PEER", help="only objects for this one")


def add_study_filters(parser: Any) -> None:
    """Add the keys that studies are looked for by; `keys_of` gives what was asked for."""
    parser.add_argument("--patient-id", metavar="ID")
    parser.add_argument("--patient-name", metavar="NAME", help="may have wildcards: 'Doe*'")
    parser.add_argument("--study-date", metavar="DATE", help="20260131, or a range: 20260101-20260131, 20260101-")
    parser.add_argument("--accession", metavar="NUMBER")


def keys_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the matching keys that were asked for, by DICOM keyword."""
    return {keyword: value for name, keyword in _FILTERS.items() if (value := getattr(args, name, None))}


def _command(subparsers: Any, name: str, run: Callable[..., None], about: str) -> Any:
    parser = add_command(subparsers, name, run, about)
    add_pacs(parser)
    return parser


def _echo(args: argparse.Namespace, progress: Progress) -> None:
    peer = peer_named(args, args.peer)
    progress.check()
    seconds = services.echo(peer)
    progress.result({"peer": peer.name, "seconds": round(seconds, 3)}, f"{peer} answers in {seconds:.3f} s")


def _find(args: argparse.Namespace, progress: Progress) -> None:
    level = args.level.upper()
    keys = keys_of(args)
    if args.modality:
        keys["ModalitiesInStudy" if level == "STUDY" else "Modality"] = args.modality
    progress.check()
    matches = services.find(peer_named(args, args.peer), level, keys)
    report = {"level": level, "matches": [match.to_json_dict() for match in matches]}
    progress.result(report, *_table(_COLUMNS[level], [_match_row(match, _COLUMNS[level]) for match in matches]))


def _get(args: argparse.Namespace, progress: Progress) -> None:
    with progress.stage("retrieve"):
        files = services.retrieve(peer_named(args, args.peer), args.study, args.series, args.output, progress)
    report = {"output": str(args.output), "files": [str(file) for file in files]}
    progress.result(report, f"{len(files)} files in {args.output}")


def _send(args: argparse.Namespace, progress: Progress) -> None:
    files = _dicom_files(args.paths)
    with progress.stage("send"):
        deliveries = deliver(files, peer_named(args, args.peer), progress)
    _report_deliveries(progress, deliveries)


def _outbox(args: argparse.Namespace, progress: Progress) -> None:
    outbox = Outbox()
    entries = [entry for entry in outbox.entries() if args.peer in (None, entry.peer)]
    if args.ids:
        if unknown := set(args.ids) - {entry.id for entry in entries}:
            raise UsageError(f"the outbox has no object {min(unknown)}", hint="see: nativedl outbox list")
        entries = [entry for entry in entries if entry.id in args.ids]
    ids = [entry.id for entry in entries]
    if args.action == "list":
        rows = [_entry_row(entry) for entry in entries]
        lines = _table(("id", "peer", "state", "attempts", "next", "SOP Instance UID", "reason"), rows)
        progress.result({"outbox": [asdict(entry) for entry in entries]}, *lines)
    elif args.action == "drop":
        if not args.ids and not args.all:
            raise UsageError("outbox drop needs the ids of objects, or --all")
        dropped = outbox.drop(ids)
        progress.result({"dropped": [entry.id for entry in dropped]}, f"{len(dropped)} dropped")
    else:
        with progress.stage("send"):
            deliveries = send(outbox, load_peers(args.pacs), progress, only_due=args.due, ids=ids)
        _report_deliveries(progress, deliveries)
        complain(outbox, [delivery.id for delivery in deliveries] if args.due else ids)


def _dicom_files(paths: Sequence[Path]) -> list[Path]:
    """List the files to send: those named, and those in named folders that are DICOM."""
    from pydicom.misc import is_dicom

    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if path.is_dir():
            every = (file for file in path.rglob("*") if file.is_file() and file.name != "DICOMDIR")
            if not (found := sorted(filter(is_dicom, every))):
                raise InputError(f"{path}: has no DICOM file")
            files += found
        else:
            files.append(path)
    return files


def _report_deliveries(progress: Progress, deliveries: Sequence[Delivery]) -> None:
    rows = [(delivery.peer, delivery.sop_instance_uid, delivery.message) for delivery in deliveries]
    lines = _table(("peer", "SOP Instance UID", "outcome"), rows)
    progress.result({"deliveries": [asdict(delivery) for delivery in deliveries]}, *lines)


def _entry_row(entry: Entry) -> tuple[str, ...]:
    due = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.next_attempt)) if entry.next_attempt else "now"
    return str(entry.id), entry.peer, entry.state, str(entry.attempts), due, entry.sop_instance_uid, entry.reason


def _match_row(match: "Dataset", columns: Sequence[str]) -> tuple[str, ...]:
    from NativeDLLib.models.iodeep.elements import STUDY_DESCRIPTION

    texts = (_text(match.get(column)) for column in columns)
    return tuple(f"{text} (a model, no images)" if text == STUDY_DESCRIPTION else text for text in texts)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str) or not isinstance(value, Sequence) else ", ".join(map(str, value))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of aligned columns."""
    if not rows:
        return ["nothing"]
    cells = [columns, *(list(map(shown, row)) for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return [line.rstrip() for line in lines]
