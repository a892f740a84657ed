"""``nativedl regions``, ``rtstruct`` and ``read-rtstruct``: regions proposed, stored once validated, and read back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from NativeDLLib.core.progress import Progress
from NativeDLLib.regions.propose_job import propose_regions
from NativeDLLib.regions.read_rtstruct import structures_to_slicer
from NativeDLLib.regions.store import Export, export_regions
from NativeDLLib.source.where import Where


def add_commands(subparsers: Any) -> None:
    """Register the commands."""
    text = "propose regions: closed lines around what a result found, as JSON, for a physician to judge"
    parser = subparsers.add_parser("regions", help=text.partition(":")[0], description=text)
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="folder of a run or of an approval")
    _add_source(parser)
    parser.add_argument(
        "--slice", metavar="SLICE", help="SOP Instance UID, index from 0, or a point x,y,z in mm (default: all slices)"
    )
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the lines (default: a quarter of a pixel)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .json to write")
    parser.set_defaults(run=regions)

    text = "store the validated regions as an RT Structure Set, and send it"
    parser = subparsers.add_parser("rtstruct", help=text, description=text)
    parser.add_argument("--regions", type=Path, required=True, metavar="FILE", help="the .json with the decisions")
    parser.add_argument("--reviewer", required=True, metavar="NAME", help="Doe^Jane, or Dr. Jane Doe")
    _add_source(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the structure set")
    parser.add_argument("--overwrite", action="store_true", help="replace a structure set in --output")
    parser.add_argument("--to", dest="target_peer", metavar="PEER", help="send the structure set to this peer")
    parser.add_argument("--pacs", type=Path, metavar="FILE", help="peers (default ~/.nativedl/pacs.json)")
    parser.set_defaults(run=rtstruct)

    text = "read an RT Structure Set of any system into a segmentation that Slicer opens"
    parser = subparsers.add_parser("read-rtstruct", help=text, description=text)
    parser.add_argument("file", type=Path, metavar="FILE", help="the RT Structure Set")
    _add_source(parser)
    parser.add_argument("--series", metavar="UID", help="Series Instance UID (default: what FILE refers to)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .seg.nrrd to write")
    parser.set_defaults(run=read_rtstruct)


def regions(args: argparse.Namespace, progress: Progress) -> int:
    """Propose regions and print how many."""
    report = propose_regions(
        args.result,
        _where(args),
        args.output,
        progress,
        slice_name=args.slice,
        tolerance=args.tolerance,
    )
    rows = [f"  {row['name']:<24}{row['regions']:6} region(s)" for row in report["segments"]]
    return _tell(args, progress, report, rows)


def rtstruct(args: argparse.Namespace, progress: Progress) -> int:
    """Store what is validated and print where it is."""
    job = Export(
        regions=args.regions,
        reviewer=args.reviewer,
        where=_where(args),
        output=args.output,
        target_peer=args.target_peer,
        pacs_file=args.pacs,
        overwrite=args.overwrite,
    )
    report = export_regions(job, progress)
    rows = [f"  {count} {status}" for status, count in report["decisions"].items()]
    # The name is in the structure set and beside it; events may end up in a log.
    return _tell(args, progress, {key: value for key, value in report.items() if key != "reviewer"}, rows)


def read_rtstruct(args: argparse.Namespace, progress: Progress) -> int:
    """Read a structure set and print what is in it."""
    report = structures_to_slicer(args.file, _where(args), args.output, progress, series_uid=args.series)
    rows = [f"  {row['name']:<24}{row['voxels']:10} voxels" for row in report["segments"]]
    return _tell(args, progress, report, rows)


def _tell(args: argparse.Namespace, progress: Progress, report: dict[str, Any], rows: list[str]) -> int:
    progress.result(report)
    if not getattr(args, "events", False):
        files = [f"{name}: {path}" for name, path in report["files"].items()]
        sent = [f"sent to {report['sent']['peer']}"] if report.get("sent") else []
        print("\n".join([report["outcome"], *rows, *files, *sent]))
    return 0


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("source (one of)")
    source.add_argument(
        "--input", nargs="+", type=Path, metavar="PATH", help="files and folders, searched at any depth"
    )
    source.add_argument("--files", type=Path, metavar="LIST", help="a text file that names the files, one a line")
    source.add_argument("--database", type=Path, metavar="FILE", help="Slicer's ctkDICOM.sql")


def _where(args: argparse.Namespace) -> Where:
    return Where(tuple(args.input or ()), args.files, args.database)
