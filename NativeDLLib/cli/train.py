"""``nativedl train``: from images and labels to a model in the registry."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from NativeDLLib.cli.options import add_command, at_least
from NativeDLLib.cli.show_progress import stage_lines
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = add_command(subparsers, "train", run, "train a model, or fine-tune one of the registry", __doc__)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="JSON: data, classes, network, ...")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for model, log and checkpoint")
    parser.add_argument("--from", dest="start", metavar="ID", help="a registry model to start from (fine-tuning)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --output")
    parser.add_argument("--overwrite", action="store_true", help="replace a training in --output")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--publish", type=Path, metavar="FILE", help="a registry that the model is put into")
    options = parser.add_argument_group("in place of what --config says")
    options.add_argument("--steps", type=at_least(1), metavar="N", help="optimiser steps")
    options.add_argument("--minutes", type=at_least(0.001, float), metavar="N", help="wall time; it cannot be repeated")
    options.add_argument("--seed", type=at_least(0), metavar="N", help="of weights, patches and augmentation")
    options.add_argument("--threads", type=at_least(1), metavar="N", help="processor cores")


def run(args: argparse.Namespace, progress: Progress) -> None:
    """Run the training and print what the model is worth."""
    # Threads that spin while they wait for each other halve the pace where anything else runs; torch reads it once.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # torch takes seconds, and other commands have no use for it.
    from NativeDLLib.inference.network import require
    from NativeDLLib.registry import find_model, load_models

    require("torch", "train")
    from NativeDLLib.training.config import read_config
    from NativeDLLib.training.entry import table
    from NativeDLLib.training.session import run_session

    if args.resume and args.overwrite:
        raise UsageError("--resume goes on and --overwrite starts again: give one of them")
    config = read_config(args.config)
    given = {key: getattr(args, key) for key in ("steps", "minutes", "seed") if getattr(args, key) is not None}
    schedule = replace(config.schedule, **given)
    config = replace(config, schedule=schedule, threads=args.threads or config.threads)
    start = find_model(load_models(), args.start) if args.start else None
    report = run_session(
        config, args.output, progress, start=start, resume=args.resume, overwrite=args.overwrite, device=args.device,
        registry=args.publish,
    )  # fmt: skip
    model = f"model: {args.output / 'registry.json'}"
    progress.result(report, *table(report["evaluation"]), *stage_lines(report), model)
