"""``nativedl approve``: from what a physician reviewed in Slicer to a DICOM SEG, and to the PACS."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from NativeDLLib.cli import options
from NativeDLLib.cli.show_progress import file_lines
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.results.report import Report
from NativeDLLib.review.approve import Approval, approve


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = options.add_command(subparsers, "approve", run, "store what was reviewed in Slicer", __doc__)
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="folder of the automatic result")
    edited = "the .seg.nrrd that Slicer saved (default: that of the result)"
    parser.add_argument("--edited", type=Path, metavar="FILE", help=edited)
    for word, about in (("accept", "store this segment"), ("reject", "leave this segment out")):
        parser.add_argument(f"--{word}", action="append", default=[], metavar="NAME", help=f"{about}; may be repeated")
    parser.add_argument("--reviewer", required=True, metavar="NAME", help="Doe^Jane, or Dr. Jane Doe")
    options.add_source(parser, "Series Instance UID (default: that of the result)")
    parser.add_argument("--unreviewed", action="store_true", help="store segments that nobody decided about too")
    options.add_kind(parser)
    options.add_format(parser)
    options.add_output(parser, "the approved SEG")
    options.add_peer(parser, "what is stored")


def run(args: argparse.Namespace, progress: Progress) -> None:
    """Make the SEG and print where it is."""
    if both := set(args.accept) & set(args.reject):
        raise UsageError(f"segment '{min(both)}' is both accepted and rejected")
    job = Approval(
        result=args.result,
        edited=args.edited,
        reviewer=args.reviewer,
        where=options.source_of(args),
        destination=options.destination_of(args),
        unreviewed=args.unreviewed,
        kind=args.segmentation or "BINARY",
        structures=options.wants_structures(args),
        decisions=dict.fromkeys(args.accept, "accepted") | dict.fromkeys(args.reject, "rejected"),
    )
    report = approve(job, progress)
    # The name is in the SEG and beside it; events may end up in a log.
    progress.result({key: value for key, value in report.to_json().items() if key != "reviewer"}, *_lines(report))


def _lines(report: Report) -> Iterator[str]:
    if report.algorithm is not None:
        yield f"{report.algorithm.name} {report.algorithm.version}: {report.outcome}"
    for segment in report.segments:
        kind = segment["algorithm_type"].lower() if segment["number"] else ""
        changed = f"{segment['changed_voxels']} voxels changed"
        yield f"  {segment['name']:<24}{segment['decision']:<10}{segment['volume_ml']:10.1f} mL   {changed}   {kind}"
    yield from file_lines(report)
