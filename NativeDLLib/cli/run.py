"""``nativedl run`` and ``demo``: from a series to a segmentation, and to the PACS."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from NativeDLLib.cli import options
from NativeDLLib.cli.show_progress import file_lines, stage_lines
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.memory import MIB
from NativeDLLib.core.progress import Progress
from NativeDLLib.registry.parameters import parse_assignments
from NativeDLLib.results.folder import Destination
from NativeDLLib.results.report import Report
from NativeDLLib.segment.estimate import remember
from NativeDLLib.segment.run import Request, run_request
from NativeDLLib.tools.tool import Machine, Storage


def add_commands(subparsers: Any) -> None:
    """Register the commands."""
    text = "``nativedl run``: from a series to a segmentation, and to the PACS."
    parser = options.add_command(subparsers, "run", run, "segment a series and store the result", text)
    options.add_source(parser, "Series Instance UID, where there is more than one", image=True)
    add_options(parser)
    options.add_format(parser)
    options.add_output(parser, "the results")
    # The files of which a job of a batch holds one while its network runs.
    parser.add_argument("--turn", nargs="+", type=Path, default=[], metavar="FILE", help=argparse.SUPPRESS)

    text = "``nativedl demo``: the whole way on a phantom, with a PACS of our own."
    parser = options.add_command(subparsers, "demo", _demo, "segment a phantom, from a PACS and back", text)
    folder = Path("demo-output")
    parser.add_argument("-o", "--output", type=Path, default=folder, metavar="DIR", help=f"default {folder}")
    parser.add_argument("--model", default="auto", metavar="ID", help="default: the registry chooses")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--seed", type=int, default=3, help="which phantom")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how a series is segmented, whichever it is."""
    parser.add_argument("--model", metavar="ID", help="a model of the registry, or auto (default)")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--max-memory", type=options.at_least(1), metavar="MIB", help="main memory a case may take")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the model")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON with model, device, segmentation, parameters")
    options.add_kind(parser)
    parser.add_argument("--keep-empty", action="store_true", help="store a SEG even if nothing was found")
    options.add_peer(parser, "the SEG")


def run(args: argparse.Namespace, progress: Progress) -> None:
    """Run the job and print where its results are; what the arguments leave open comes from the configuration file."""
    chosen = given_options(args)
    args.volume = args.volume or chosen["volume"]
    _check_source(args, chosen)
    request = Request(
        options.source_of(args),
        Destination(args.output, options.target_of(args), args.overwrite),
        model=chosen["model"],
        machine=Machine(chosen["device"], chosen["max_memory"], tuple(args.turn)),
        parameters=chosen["parameters"],
        storage=Storage(chosen["kind"], args.keep_empty, "rtstruct" in args.format),
    )
    report = run_request(request, progress)
    remember(report)
    progress.result(report.to_json(), *_report_lines(report))


def _check_source(args: argparse.Namespace, chosen: Mapping[str, Any]) -> None:
    if args.source_peer and not (args.study and args.series):
        raise UsageError("--from needs --study and --series (nativedl find lists them)")
    if args.image is None:
        return
    if chosen["model"] == "auto":
        raise UsageError("--image needs --model: without DICOM there is no body part to choose a model by")
    given = {"--to": args.target_peer, "--keep-empty": args.keep_empty, "--format": "rtstruct" in args.format}
    for unfit in (name for name, value in given.items() if value):
        raise UsageError(f"{unfit} needs a DICOM series: a SEG must refer to the instances it was made from")


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Options of `add_options` by the names of a request's fields."""
    configured = options.read_configuration(args.config) if args.config else {}
    kind = args.segmentation or configured.get("segmentation", "BINARY")
    if kind not in ("BINARY", "LABELMAP"):
        raise UsageError(f"{args.config}: segmentation: '{kind}' is not BINARY or LABELMAP")
    layers = [] if args.config is None else [(str(args.config), configured.get("parameters", {}))]
    return {
        "model": args.model or configured.get("model", "auto"),
        "device": args.device or configured.get("device", "auto"),
        "max_memory": None if args.max_memory is None else args.max_memory * MIB,
        "parameters": (*layers, ("settings", parse_assignments(args.set))),
        "kind": kind,
        "keep_empty": args.keep_empty,
        "volume": [str(attribute) for attribute in configured.get("volume", ())],
    }


def _demo(args: argparse.Namespace, progress: Progress) -> None:
    from NativeDLLib.demo.demonstration import demonstrate

    report = demonstrate(args.output, progress, model=args.model, device=args.device, seed=args.seed)
    dice = (f"Dice with the phantom's truth, {name}: {value}" for name, value in report.details["dice"].items())
    total = f"all together {report.details['total_seconds']:.1f} s; everything is in {args.output}"
    steps = (f"{name}: {told}" for name, told in report.details["steps"].items())
    progress.result(report.to_json(), *steps, *_report_lines(report), *dice, total)


def _report_lines(report: Report) -> Iterator[str]:
    if report.model is not None:
        yield f"{report.model.id} {report.model.version} on {report.device}: {report.outcome}"
    for segment in report.segments:
        mean = segment.get("mean_hu", segment.get("mean_value"))
        unit = " HU" if "mean_hu" in segment else ""
        found = f"{segment['volume_ml']:10.1f} mL   mean {mean:.0f}{unit}" if segment["voxels"] else "  not found"
        yield f"  {segment['name']:<24}{found}"
    yield from stage_lines(report.to_json())
    yield f"  {'total':<24}{report.seconds:10.2f} s    {report.peak_mib:8.0f} MiB"
    yield from file_lines(report)
