"""``nativedl models fetch`` and ``remove``: weights that are not part of NativeDL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from NativeDLLib.cli.terminal import write_line
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.fetch.fetch import fetch
from NativeDLLib.models.remove import take_back
from NativeDLLib.registry import find_model, load_models


def add_commands(commands: Any) -> None:
    """Add ``fetch`` and ``remove`` to the commands of ``models``."""
    fetching = commands.add_parser("fetch", help="download a model's weights, check them and put them into the cache")
    fetching.add_argument("id", metavar="ID")
    fetching.add_argument("--from-file", type=Path, metavar="FILE", help="what is at its URL, brought here by hand")
    consent = "take it where no SHA-256 is known yet, and record that, without being asked"
    fetching.add_argument("--yes", action="store_true", help=consent)
    fetching.set_defaults(run=_fetch)
    removing = commands.add_parser("remove", help="take back what add, pull or fetch brought of a model")
    removing.add_argument("id", metavar="ID")
    removing.add_argument("--forget", action="store_true", help="also the recorded SHA-256: another may come next")
    removing.set_defaults(run=_remove)


def _fetch(args: argparse.Namespace, progress: Progress) -> int:
    model = find_model(load_models(), args.id)
    path, fetched = fetch(model, args.from_file, lambda question: args.yes or _asked(question, args), progress)
    digest = fetched.sha256 if fetched else None
    report = {"model": model.id, "path": str(path), "fetched": fetched is not None, "sha256": digest}
    progress.result(report, f"{model.id}: {f'fetched, SHA-256 {digest}' if fetched else 'is here already, and right'}")
    return 0


def _remove(args: argparse.Namespace, progress: Progress) -> int:
    model = find_model(load_models(), args.id)
    removed = take_back(model, args.forget)
    told = f"removed: {', '.join(removed)}" if removed else "there is nothing to remove"
    progress.result({"model": model.id, "removed": removed}, f"{model.id}: {told}")
    return 0


def _asked(question: str, args: argparse.Namespace) -> bool:
    if args.events or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to answer", hint="if you agree, add --yes")
    write_line(sys.stderr, f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
