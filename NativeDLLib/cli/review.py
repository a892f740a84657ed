"""``nativedl approve``, ``regions``, ``rtstruct`` and ``read-rtstruct``: results judged by a physician, and stored."""

import argparse
from pathlib import Path
from typing import Any

from NativeDLLib.cli import options
from NativeDLLib.cli.show_progress import file_lines
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.regions.propose import propose_regions
from NativeDLLib.regions.read_rtstruct import structures_to_slicer
from NativeDLLib.regions.structure import export_regions
from NativeDLLib.results.folder import Destination
from NativeDLLib.results.report import Report
from NativeDLLib.review import approve

_SERIES = "Series Instance UID (default: that of the result)"


def add_commands(subparsers: Any) -> None:
    """Register the commands."""
    text = "``nativedl approve``: from what a physician reviewed in Slicer to a DICOM SEG, and to the PACS."
    parser = options.add_command(subparsers, "approve", _approve, "store what was reviewed in Slicer", text)
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="folder of the automatic result")
    parser.add_argument("--edited", type=Path, metavar="FILE", help=".seg.nrrd of Slicer (default: that of the result)")
    _add_decisions(parser, "accept", "NAME", "segment")
    options.add_source(parser, _SERIES)
    parser.add_argument("--unreviewed", action="store_true", help="store segments that nobody decided about too")
    options.add_kind(parser)
    options.add_format(parser)
    options.add_output(parser, "the approved SEG")
    options.add_peer(parser, "what is stored")

    text = "propose regions: closed lines around what a result found, as JSON, for a physician to judge"
    parser = options.add_command(subparsers, "regions", _regions, text.partition(":")[0], text)
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="folder of a run or of an approval")
    options.add_source(parser, _SERIES)
    options.add_pacs(parser)
    parser.add_argument("--slice", help="SOP Instance UID, index from 0, or a point x,y,z in mm (default: all slices)")
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the lines (default: a quarter of a pixel)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .json to write")

    text = "store the validated regions as an RT Structure Set, and send it"
    parser = options.add_command(subparsers, "rtstruct", _rtstruct, text)
    parser.add_argument("--regions", type=Path, required=True, metavar="FILE", help="the .json with the decisions")
    _add_decisions(parser, "validate", "ID", "region")
    options.add_source(parser, _SERIES)
    options.add_output(parser, "the structure set")
    options.add_peer(parser, "the structure set")

    text = "read an RT Structure Set of any system into a segmentation that Slicer opens"
    parser = options.add_command(subparsers, "read-rtstruct", _read_rtstruct, text)
    parser.add_argument("file", type=Path, metavar="FILE", help="the RT Structure Set")
    options.add_source(parser, "Series Instance UID (default: what FILE refers to)")
    options.add_pacs(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .seg.nrrd to write")


def _add_decisions(parser: argparse.ArgumentParser, yes: str, metavar: str, thing: str) -> None:
    for word, about in ((yes, f"store this {thing}"), ("reject", f"leave this {thing} out")):
        parser.add_argument(f"--{word}", action="append", default=[], metavar=metavar, help=f"{about}; may be repeated")
    parser.add_argument("--reviewer", required=True, metavar="NAME", help="Doe^Jane, or Dr. Jane Doe")


def _decisions(yes: list[str], no: list[str], thing: str, decision: str) -> dict[str, Any]:
    if both := set(yes) & set(no):
        raise UsageError(f"{thing} '{min(both)}' is both {decision} and rejected")
    return dict.fromkeys(yes, decision) | dict.fromkeys(no, "rejected")


def _approve(args: argparse.Namespace, progress: Progress) -> None:
    decisions = _decisions(args.accept, args.reject, "segment", "accepted")
    approval = approve.Approval(
        result=args.result,
        edited=args.edited,
        reviewer=args.reviewer,
        where=options.source_of(args),
        destination=Destination(args.output, options.target_of(args), args.overwrite),
        unreviewed=args.unreviewed,
        kind=args.segmentation or "BINARY",
        structures="rtstruct" in args.format,
        decisions=decisions,
    )
    report, rows = approve.approve(approval, progress), []
    for segment in report.segments:
        kind = segment["algorithm_type"].lower() if segment["number"] else ""
        found = f"{segment['volume_ml']:10.1f} mL   {segment['changed_voxels']} voxels changed   {kind}"
        rows.append(f"  {segment['name']:<24}{segment['decision']:<10}{found}")
    made_by = report.algorithm
    _tell(progress, report, f"{made_by.name} {made_by.version}: {report.outcome}" if made_by else "", rows)


def _regions(args: argparse.Namespace, progress: Progress) -> None:
    settings = {"slice_name": args.slice, "tolerance": args.tolerance}
    report = propose_regions(args.result, options.source_of(args), args.output, progress, **settings)
    rows = [f"  {row['name']:<24}{row['regions']:6} region(s)" for row in report.segments]
    _tell(progress, report, report.outcome, rows)


def _rtstruct(args: argparse.Namespace, progress: Progress) -> None:
    decisions = _decisions(args.validate, args.reject, "region", "validated")
    where, to = options.source_of(args), Destination(args.output, options.target_of(args), args.overwrite)
    report = export_regions(args.regions, args.reviewer, where, to, progress, decisions=decisions)
    rows = [f"  {count} {status}" for status, count in report.details["decisions"].items()]
    _tell(progress, report, report.outcome, rows)


def _read_rtstruct(args: argparse.Namespace, progress: Progress) -> None:
    report = structures_to_slicer(args.file, options.source_of(args), args.output, progress)
    rows = [f"  {row['name']:<24}{row['voxels']:10} voxels" for row in report.segments]
    _tell(progress, report, report.outcome, rows)


def _tell(progress: Progress, report: Report, outcome: str, rows: list[str]) -> None:
    # The reviewer's name is in the object and beside it; events may end up in a log.
    told = {key: value for key, value in report.to_json().items() if key != "reviewer"}
    progress.result(told, outcome, *rows, *file_lines(report))
