"""``nativedl demo``: the whole way on a phantom, with a PACS of our own."""

import argparse
from pathlib import Path
from typing import Any

from NativeDLLib.cli.options import add_command
from NativeDLLib.core.progress import Progress


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = add_command(subparsers, "demo", run, "segment a phantom, from a PACS and back", __doc__)
    folder = Path("demo-output")
    parser.add_argument("-o", "--output", type=Path, default=folder, metavar="DIR", help=f"default {folder}")
    parser.add_argument("--model", default="auto", metavar="ID", help="default: the registry chooses")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--seed", type=int, default=3, help="which phantom")


def run(args: argparse.Namespace, progress: Progress) -> None:
    """Run the demonstration and tell what happened."""
    from NativeDLLib.cli.run import report_lines
    from NativeDLLib.demo.demonstration import demonstrate

    report = demonstrate(args.output, progress, model=args.model, device=args.device, seed=args.seed)
    dice = (f"Dice with the phantom's truth, {name}: {value}" for name, value in report.details["dice"].items())
    total = f"all together {report.details['total_seconds']:.1f} s; everything is in {args.output}"
    steps = (f"{name}: {told}" for name, told in report.details["steps"].items())
    progress.result(report.to_json(), *steps, *report_lines(report), *dice, total)
