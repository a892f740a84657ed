"""``nativedl models add``: a registry entry for a model of one's own, from its files and the answers of a person."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from NativeDLLib.cli.options import add_command
from NativeDLLib.cli.show_progress import shown, write_line
from NativeDLLib.core.errors import CancelledError, UsageError
from NativeDLLib.core.files import write_text
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.add.draft import Draft
from NativeDLLib.models.add.install import check_free, install, user_registry
from NativeDLLib.models.add.model_files import read_source, unpacked
from NativeDLLib.models.add.questions import in_words, questions, require_complete, template
from NativeDLLib.models.add.structures import code_doubts
from NativeDLLib.registry.load import registry_files


def add_commands(commands: Any) -> None:
    """Add ``add`` to the commands of ``models``."""
    add = add_command(commands, "add", _add, "add a model of your own: nnU-Net results folder, ONNX or .pt2 file")
    add.add_argument("source", type=Path, metavar="FOLDER|FILE")
    add_answers(add)
    add.add_argument("--registry", type=Path, metavar="FILE", help="instead of ~/.nativedl/registry.json")
    add.add_argument("--architecture", type=Path, metavar="FILE", help="the network as JSON, for a file of weights")
    add.add_argument("--folds", nargs="+", metavar="N", help="of an nnU-Net folder; without it all there are")


def add_answers(parser: Any) -> None:
    """Add the options with what the files of a model do not say."""
    parser.add_argument("--id", metavar="ID", help="instead of one made from the name")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="JSON with the fields that the files do not say")
    parser.add_argument("--template", type=Path, metavar="FILE", help="write what is missing to a new file, and end")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the labels to segment; without it all there are")
    parser.add_argument("--replace", action="store_true", help="take the place of a model with the same id")


def _add(args: argparse.Namespace, progress: Progress) -> None:
    with unpacked(args.source, progress) as source:
        draft = read_source(source, architecture=args.architecture, folds=args.folds)
        add_draft(draft, args.registry or user_registry(), args, progress)


def add_draft(draft: Draft, registry: Path, args: argparse.Namespace, progress: Progress) -> None:
    """Complete a draft by the options of `add_answers` or by asking, and put it in force."""
    if args.answers:
        draft.merge(read_json(args.answers, UsageError), str(args.answers))
    if args.id:
        draft.merge({"id": args.id}, "--id")
    if args.only:
        draft.keep(args.only)
    check_free(draft.entry["id"], registry, args.replace)
    if args.template:
        _write_template(args.template, template(draft), progress)
        return
    if questions(draft) and not args.events and sys.stdin.isatty() and sys.stdout.isatty():
        _ask_all(draft)
    require_complete(draft)
    model = install(draft, registry, replace=args.replace, progress=progress)
    for row in model.data["output"]["segments"]:
        for doubt in code_doubts(row):
            progress.warn(doubt)
    if registry.resolve() not in {file.resolve() for file in registry_files()}:
        progress.warn(f"{registry} is not in force; name it in NATIVEDL_REGISTRY")
    report = {"registry": str(registry), "model": dict(model.data), "found": draft.told}
    place = f"{model.tool_name} is in {registry}; look at it with: nativedl models show {model.id}"
    progress.result(report, *(f"  {line}" for line in draft.told), place)


def _write_template(path: Path, content: dict[str, Any], progress: Progress) -> None:
    if path.exists():
        raise UsageError(f"{path}: is there already; name a new file")
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    told = f"{path}: complete it (null is missing; codes are proposals, check them) and give it with --answers"
    progress.result({"template": str(path)}, told)


def _ask_all(draft: Draft) -> None:
    """Tell what the files say, and put the questions that they leave open."""
    for line in draft.told:
        write_line(sys.stdout, f"  {line}")
    # Ctrl-C ends a question: a job, which notices the wish at its next step, would go on waiting for an answer.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while pending := questions(draft):
            _ask(draft, pending[0])
    finally:
        signal.signal(signal.SIGINT, before)


def _ask(draft: Any, question: Any) -> None:
    """Put one question until its answer is right."""
    offer = question.offer
    offered = f" [{in_words(offer)}]" if offer is not None else ""
    while True:
        try:
            text = input(shown(f"{question.text}{offered}: ")).strip()
        except EOFError as error:
            raise CancelledError("cancelled: nothing was added") from error
        if not text and offer is not None:
            draft.take(question.place)
            return
        try:
            draft.put(question.place, question.answer(text))
            return
        except ValueError as error:
            write_line(sys.stdout, f"  {error}")
