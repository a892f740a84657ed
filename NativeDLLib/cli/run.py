"""``nativedl run``: from a series to a segmentation, and to the PACS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from NativeDLLib.cli.configuration import read_configuration
from NativeDLLib.cli.counts import count
from NativeDLLib.cli.formats import add_format, wants_structures
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.memory import MIB
from NativeDLLib.core.progress import Progress
from NativeDLLib.registry.parameters import parse_assignments
from NativeDLLib.segment.expectation import remember
from NativeDLLib.segment.run import Job, check_inputs, run_job


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("run", help="segment a series and store the result", description=__doc__)
    source = parser.add_argument_group("source (one of)")
    source.add_argument(
        "--input", nargs="+", type=Path, metavar="PATH", help="files and folders, searched at any depth"
    )
    source.add_argument("--files", type=Path, metavar="LIST", help="a text file that names the files, one a line")
    source.add_argument("--image", type=Path, metavar="FILE", help="a volume in NRRD, NIfTI or MetaImage, with --model")
    source.add_argument("--database", type=Path, metavar="FILE", help="Slicer's ctkDICOM.sql, with --series")
    source.add_argument("--from", dest="source_peer", metavar="PEER", help="a peer, with --study and --series")
    parser.add_argument("--study", metavar="UID", help="Study Instance UID, with --from")
    parser.add_argument("--series", metavar="UID", help="Series Instance UID, where there is more than one")
    parser.add_argument("--modality", choices=["CT", "MR", "PT"], help="of --image (default: what the model is for)")
    add_options(parser)
    add_format(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results in --output")
    turn = "run the network only while holding one of these, which no other process then does (they are made)"
    parser.add_argument("--turn", nargs="+", type=Path, default=[], metavar="FILE", help=turn)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how a series is segmented, whichever it is."""
    parser.add_argument("--model", metavar="ID", help="a model of the registry, or auto (default)")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--max-memory",
        type=count,
        metavar="MIB",
        help="refuse what takes more main memory than that, each case for itself",
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the model")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON with model, device, segmentation, parameters")
    parser.add_argument("--segmentation", choices=["BINARY", "LABELMAP"], help="kind of DICOM SEG (default BINARY)")
    parser.add_argument("--keep-empty", action="store_true", help="store a SEG even if nothing was found")
    parser.add_argument("--to", dest="target_peer", metavar="PEER", help="send the SEG to this peer")
    parser.add_argument("--pacs", type=Path, metavar="FILE", help="peers (default ~/.nativedl/pacs.json)")


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Run the job and print where its results are."""
    job = make_job(args)
    check_inputs(job)
    report = run_job(job, progress)
    remember(report)
    progress.result(report)
    if not getattr(args, "events", False):
        print_report(report)
    return 0


def make_job(args: argparse.Namespace) -> Job:
    """Make a job of the arguments; what they leave open comes from the configuration file.

    Raises
    ------
    UsageError
        Where the configuration file is wrong.
    """
    return Job(
        output=args.output,
        inputs=tuple(args.input or ()),
        database=args.database,
        source_peer=args.source_peer,
        study=args.study,
        series=args.series,
        file_list=args.files,
        image=args.image,
        modality=args.modality,
        overwrite=args.overwrite,
        turns=tuple(args.turn),
        structures=wants_structures(args),
        **options(args),
    )


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_options` added as attributes of a `Job`; see `make_job`."""
    configured = read_configuration(args.config) if args.config else {}
    kind = args.segmentation or configured.get("segmentation", "BINARY")
    if kind not in ("BINARY", "LABELMAP"):
        raise UsageError(f"{args.config}: segmentation: '{kind}' is not BINARY or LABELMAP")
    layers = [] if args.config is None else [(str(args.config), configured.get("parameters", {}))]
    return {
        "model": args.model or configured.get("model", "auto"),
        "device": args.device or configured.get("device", "auto"),
        "max_memory": None if args.max_memory is None else args.max_memory * MIB,
        "parameters": (*layers, ("--set", parse_assignments(args.set))),
        "kind": kind,
        "keep_empty": args.keep_empty,
        "target_peer": args.target_peer,
        "pacs_file": args.pacs,
    }


def print_report(report: dict[str, Any]) -> None:
    """Print a report for a person."""
    model = report["model"]
    print(f"{model['id']} {model['version']} on {report['device']}: {report['outcome']}")
    for segment in report["segments"]:
        mean = segment.get("mean_hu", segment.get("mean_value"))
        unit = " HU" if "mean_hu" in segment else ""
        shown = f"{segment['volume_ml']:10.1f} mL   mean {mean:.0f}{unit}" if segment["voxels"] else "  not found"
        print(f"  {segment['name']:<24}{shown}")
    for stage in report["stages"]:
        print(f"  {stage['name']:<24}{stage['seconds']:10.2f} s    {stage['peak_mib']:8.0f} MiB")
    print(f"  {'total':<24}{report['seconds']:10.2f} s    {report['peak_mib']:8.0f} MiB")
    for name, path in report["files"].items():
        print(f"{name}: {path}")
    if report["sent"]:
        print(f"sent to {report['sent']['peer']}")
