"""Runs the benchmarks: ``python -m benchmarks [--only NAME...] [--quick] [--runs N] [--output FILE]``."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare import MissingError, Setting
from benchmarks.inputs import ROOT
from benchmarks.machine import describe
from benchmarks.measure import RunError
from benchmarks.table import show

ON_CPU = ("reading", "writing", "sending", "sliding_window", "end_to_end", "torso", "growth")
NAMES = (*ON_CPU, "gpu")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, print the tables and write the JSON after each; return 1 where something was missing."""
    args = _parser().parse_args(argv)
    setting = Setting(args.folder.resolve() / ("quick" if args.quick else "full"), args.runs, args.quick)
    document = {**describe(), "quick": args.quick, "runs": args.runs, "benchmarks": {}}
    complete = True
    for name in args.only:
        try:
            result = importlib.import_module(f"benchmarks.{name}").run(setting)
        except (MissingError, RunError) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            document["benchmarks"][name] = {"failed": str(error)}
            complete = False
        else:
            print(show(name, result), flush=True)
            document["benchmarks"][name] = result.as_json()
            complete &= not result.missing
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(document, indent=1))
    return 0 if complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare NativeDL with others.")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=ON_CPU, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="tiny inputs and networks, to see that everything works")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each (default 3)")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "bench" / "results.json", metavar="FILE")
    parser.add_argument("--folder", type=Path, default=ROOT / "out" / "bench", help="for inputs and outputs")
    return parser


if __name__ == "__main__":
    # What is being measured is in a session of its own, and is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
