"""``nativedl regions``, ``rtstruct`` and ``read-rtstruct``: regions proposed, stored once validated, and read back."""

import argparse
from pathlib import Path
from typing import Any

from NativeDLLib.cli.options import add_command, add_output, add_pacs, add_peer, add_source, destination_of, source_of
from NativeDLLib.cli.show_progress import file_lines
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.regions.propose import propose_regions
from NativeDLLib.regions.read_rtstruct import structures_to_slicer
from NativeDLLib.regions.region import Status
from NativeDLLib.regions.structure import export_regions
from NativeDLLib.results.report import Report

_SERIES = "Series Instance UID (default: that of the result)"


def add_commands(subparsers: Any) -> None:
    """Register the commands."""
    text = "propose regions: closed lines around what a result found, as JSON, for a physician to judge"
    parser = add_command(subparsers, "regions", regions, text.partition(":")[0], text)
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="folder of a run or of an approval")
    add_source(parser, _SERIES)
    add_pacs(parser)
    parser.add_argument(
        "--slice", metavar="SLICE", help="SOP Instance UID, index from 0, or a point x,y,z in mm (default: all slices)"
    )
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the lines (default: a quarter of a pixel)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .json to write")

    text = "store the validated regions as an RT Structure Set, and send it"
    parser = add_command(subparsers, "rtstruct", rtstruct, text, text)
    parser.add_argument("--regions", type=Path, required=True, metavar="FILE", help="the .json with the decisions")
    for word, about in (("validate", "store this region"), ("reject", "leave this region out")):
        parser.add_argument(f"--{word}", action="append", default=[], metavar="ID", help=f"{about}; may be repeated")
    parser.add_argument("--reviewer", required=True, metavar="NAME", help="Doe^Jane, or Dr. Jane Doe")
    add_source(parser, _SERIES)
    add_output(parser, "the structure set")
    add_peer(parser, "the structure set")

    text = "read an RT Structure Set of any system into a segmentation that Slicer opens"
    parser = add_command(subparsers, "read-rtstruct", read_rtstruct, text, text)
    parser.add_argument("file", type=Path, metavar="FILE", help="the RT Structure Set")
    add_source(parser, "Series Instance UID (default: what FILE refers to)")
    add_pacs(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .seg.nrrd to write")


def regions(args: argparse.Namespace, progress: Progress) -> None:
    """Propose regions and print how many."""
    report = propose_regions(
        args.result, source_of(args), args.output, progress, slice_name=args.slice, tolerance=args.tolerance
    )
    rows = [f"  {row['name']:<24}{row['regions']:6} region(s)" for row in report.segments]
    _tell(progress, report, rows)


def rtstruct(args: argparse.Namespace, progress: Progress) -> None:
    """Store what is validated and print where it is."""
    if both := set(args.validate) & set(args.reject):
        raise UsageError(f"region '{min(both)}' is both validated and rejected")
    decisions: dict[str, Status] = dict.fromkeys(args.validate, "validated") | dict.fromkeys(args.reject, "rejected")
    where, to = source_of(args), destination_of(args)
    report = export_regions(args.regions, args.reviewer, where, to, progress, decisions=decisions)
    rows = [f"  {count} {status}" for status, count in report.details["decisions"].items()]
    _tell(progress, report, rows)


def read_rtstruct(args: argparse.Namespace, progress: Progress) -> None:
    """Read a structure set and print what is in it."""
    report = structures_to_slicer(args.file, source_of(args), args.output, progress)
    rows = [f"  {row['name']:<24}{row['voxels']:10} voxels" for row in report.segments]
    _tell(progress, report, rows)


def _tell(progress: Progress, report: Report, rows: list[str]) -> None:
    # The name is in the structure set and beside it; events may end up in a log.
    told = {key: value for key, value in report.to_json().items() if key != "reviewer"}
    progress.result(told, report.outcome, *rows, *file_lines(report))
