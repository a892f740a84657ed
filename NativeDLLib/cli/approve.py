"""``nativedl approve``: from what a physician reviewed in Slicer to a DICOM SEG, and to the PACS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from NativeDLLib.cli.formats import add_format, wants_structures
from NativeDLLib.core.progress import Progress
from NativeDLLib.review import Approval, approve


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("approve", help="store what was reviewed in Slicer", description=__doc__)
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="folder of the automatic result")
    parser.add_argument("--edited", type=Path, required=True, metavar="FILE", help="the .seg.nrrd that Slicer saved")
    parser.add_argument("--reviewer", required=True, metavar="NAME", help="Doe^Jane, or Dr. Jane Doe")
    source = parser.add_argument_group("source (one of)")
    source.add_argument(
        "--input", nargs="+", type=Path, metavar="PATH", help="files and folders, searched at any depth"
    )
    source.add_argument("--files", type=Path, metavar="LIST", help="a text file that names the files, one a line")
    source.add_argument("--database", type=Path, metavar="FILE", help="Slicer's ctkDICOM.sql")
    parser.add_argument("--series", metavar="UID", help="Series Instance UID (default: that of the result)")
    parser.add_argument("--unreviewed", action="store_true", help="store segments that nobody decided about too")
    parser.add_argument("--segmentation", choices=["BINARY", "LABELMAP"], default="BINARY", help="kind of DICOM SEG")
    add_format(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the approved SEG")
    parser.add_argument("--overwrite", action="store_true", help="replace an approved SEG in --output")
    parser.add_argument("--to", dest="target_peer", metavar="PEER", help="send what is stored to this peer")
    parser.add_argument("--pacs", type=Path, metavar="FILE", help="peers (default ~/.nativedl/pacs.json)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Make the SEG and print where it is."""
    job = Approval(
        result=args.result,
        edited=args.edited,
        reviewer=args.reviewer,
        output=args.output,
        inputs=tuple(args.input or ()),
        file_list=args.files,
        database=args.database,
        series=args.series,
        unreviewed=args.unreviewed,
        kind=args.segmentation,
        structures=wants_structures(args),
        target_peer=args.target_peer,
        pacs_file=args.pacs,
        overwrite=args.overwrite,
    )
    report = approve(job, progress)
    # The name is in the SEG and beside it; events may end up in a log.
    progress.result({key: value for key, value in report.items() if key != "reviewer"})
    if not getattr(args, "events", False):
        _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    print(f"{report['algorithm']['name']} {report['algorithm']['version']}: {report['outcome']}")
    for segment in report["segments"]:
        kind = segment["algorithm_type"].lower() if segment["number"] else ""
        changed = f"{segment['changed_voxels']} voxels changed"
        print(f"  {segment['name']:<24}{segment['decision']:<10}{segment['volume_ml']:10.1f} mL   {changed}   {kind}")
    for name, path in report["files"].items():
        print(f"{name}: {path}")
    if report["sent"]:
        print(f"sent to {report['sent']['peer']}")
