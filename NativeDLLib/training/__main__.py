"""``python -m NativeDLLib.training`` trains the bundled demonstration models again."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from pathlib import Path

import torch

from NativeDLLib.errors import NativeDLError
from NativeDLLib.files import sha256
from NativeDLLib.training.cases import phantom_case, torso_case
from NativeDLLib.training.evaluate import dice, examples, load, segment
from NativeDLLib.training.export import export
from NativeDLLib.training.loop import Schedule, train
from NativeDLLib.training.task import TASKS

_LOG = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m NativeDLLib.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds torso_ct_3mm")
    parser.add_argument("--output", type=Path, required=True, help="folder for the models")
    parser.add_argument("--model", choices=[*TASKS, "all"], default="all")
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end earlier; the result is then not repeatable"
    )
    parser.add_argument("--phantoms", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    try:
        for name in TASKS if options.model == "all" else [options.model]:
            _train_one(name, options)
    except NativeDLError as error:
        sys.stderr.write(f"training: {error}\n")
        return error.exit_code
    return 0


def _train_one(name: str, options: argparse.Namespace) -> None:
    task = TASKS[name]
    cases = [torso_case(options.data, task)]
    cases += [phantom_case(1000 * options.seed + i, task) for i in range(options.phantoms)]
    network, _ = train(task, cases, Schedule(options.steps, options.minutes), seed=options.seed)
    path = export(network, task, options.output)
    _LOG.info("%s: %d bytes, SHA-256 %s", path, path.stat().st_size, sha256(path))
    model = load(path)
    for example in examples(task, options.data):
        score = dice(segment(model, example.image, task), example.truth)
        _LOG.info("%s: Dice %.3f on %s", name, score, example.name)


if __name__ == "__main__":
    sys.exit(main())
