"""The command line ``nativedl``.

Exit codes: 0 done, 1 the result could not be written or a defect of this program, 2 usage, 3 input refused, 4 model
problem, 5 PACS problem (the result is kept), 6 cancelled, 7 some cases of a batch failed.
"""

import argparse
import gc
import importlib
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from NativeDLLib import __version__
from NativeDLLib.cli.show_progress import JsonProgress, TerminalProgress, flush
from NativeDLLib.core.errors import CancelledError, NativeDLError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.worker.processes import CONVERT, SPARE
from NativeDLLib.worker.signals import cancelled_by_signals, end_with_parent

# What each module of commands adds: only that of the command asked for is imported, as some take a second.
_COMMANDS = {
    "run": ("run", "demo"),
    "batch": ("batch",),
    "review": ("approve", "regions", "rtstruct", "read-rtstruct"),
    "inspect": ("inspect", "devices", "database"),
    "models": ("models",),
    "pacs": ("echo", "find", "get", "send", "outbox"),
    "serve": ("serve",),
    "train": ("train",),
    "doctor": ("doctor",),
}
# Options that may stand anywhere on the line. The last is for programs: it ends this one when standard input is closed.
_COMMON = {
    ("-q", "--quiet"): "errors and results alone",
    ("-v", "--verbose"): "each stage on a line",
    ("--json",): "the result as JSON",
    ("--events",): "for programs: all that happens as JSON lines on stdout",
    ("--debug",): "tracebacks and library logs",
    ("--with-parent",): argparse.SUPPRESS,
}
_COMPLETION = "--print-completion"
# New objects that may be in cycles, after which Python looks for some that are garbage; by default after 700.
_OBJECTS_BEFORE_LOOK = 10_000


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that a wrong command line is reported like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {self.prog} --help")


def program() -> NoReturn:
    """Be the program ``nativedl``: run the command of this process, or the one that it waits for, and end the process.
    Importing makes hundreds of thousands of objects that stay. Looking through them for garbage, and taking them apart
    at the end, took more than a second of a run.
    """
    gc.set_threshold(_OBJECTS_BEFORE_LOOK)
    if sys.argv[1:-1] == [CONVERT]:
        convert = importlib.import_module("NativeDLLib.models.add.keras_file").convert
        sys.exit(convert(Path(sys.argv[2])))
    try:
        code: Any = main(_awaited(sys.argv[2]) if sys.argv[1:-1] == [SPARE] else None)
    except SystemExit as end:
        code = end.code
    flush(sys.stdout)
    gc.freeze()
    sys.exit(code)


def _awaited(model_id: str) -> list[str]:
    """Import what a model needs, and wait for a line on standard input: the command, a JSON list of its arguments. The
    process ends where standard input is closed before.
    """
    # Whatever is wrong here, the command meets it too, and says it.
    with suppress(Exception):
        importlib.import_module("NativeDLLib.cli.run")
        from NativeDLLib.inference.engine import import_ahead
        from NativeDLLib.registry import load_models

        # To its end: a thread that waits for input can keep others from loading libraries on Windows.
        # A GPU is left alone: what waits shall hold none of its memory.
        import_ahead(load_models()[model_id], "cpu").join()
    # Without a buffer, as what follows the line is for the command.
    with open(0, "rb", buffering=0, closefd=False) as stream:
        line = stream.readline()
    if not line.endswith(b"\n"):
        sys.exit()
    return [str(argument) for argument in json.loads(line)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    asked = set(arguments)
    debug = "--debug" in asked
    quiet, verbose = bool(asked & {"-q", "--quiet"}), bool(asked & {"-v", "--verbose"})
    terminal = TerminalProgress(quiet=quiet, verbose=verbose, as_json="--json" in asked)
    progress = JsonProgress() if "--events" in asked else terminal
    _quiet_libraries(debug)
    if "--with-parent" in asked:
        end_with_parent(progress)
    with cancelled_by_signals(progress):
        return _run(arguments, progress, debug)


def _run(arguments: Sequence[str], progress: Progress, debug: bool) -> int:
    try:
        args = _parser(arguments).parse_args(arguments, argparse.Namespace(events=False))
        return int(args.run(args, progress) or 0)
    except NativeDLError as error:
        return _fail(progress, error, debug)
    except KeyboardInterrupt:
        return _fail(progress, CancelledError("cancelled"), debug)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(progress, NativeDLError(f"{place}{error.strerror or error}"), debug)
    except MemoryError:
        return _fail(progress, NativeDLError("memory ran out; close other programs or use a machine with more"), debug)
    # The last line of defence: a defect still ends in one line, and --debug shows where.
    except Exception as error:
        text = f"unexpected {type(error).__name__}: {error}; this is a defect, please report it"
        return _fail(progress, NativeDLError(text, hint="with what --debug shows"), debug)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    names = [name for name, commands in _COMMANDS.items() if command in commands] or list(_COMMANDS)
    # Imported here so that a defect in one of them is reported like any other.
    modules = [importlib.import_module(f"NativeDLLib.cli.{name}") for name in names]
    common = argparse.ArgumentParser(add_help=False)
    for options, about in _COMMON.items():
        common.add_argument(*options, action="store_true", default=argparse.SUPPRESS, help=about)
    description, _, codes = (__doc__ or "").partition("\n\n")
    parser = _Parser(prog="nativedl", description=description, epilog=codes, parents=[common])
    parser.add_argument("--version", action="version", version=f"nativedl {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for module in modules:
        module.add_commands(subparsers)
    _add_to_all(parser, common)
    if _COMPLETION in arguments:
        from NativeDLLib.inference.network import require

        shtab = require("shtab", "completion", "completion", UsageError)
        shtab.add_argument_to(parser, _COMPLETION, help="a shell's script for completion")
    return parser


def _add_to_all(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Let the common options stand anywhere on the line."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                child._add_container_actions(common)
                _add_to_all(child, common)


def _fail(progress: Progress, error: NativeDLError, debug: bool) -> int:
    progress.error(error)
    if debug:
        logging.getLogger(__name__).exception("traceback, as asked for by --debug")
    return error.exit_code


def _quiet_libraries(debug: bool) -> None:
    """Keep the logs of libraries off the terminal; what matters in them reaches the user as errors and warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING if debug else logging.CRITICAL)
    logging.basicConfig(handlers=[handler], force=True)
    if not debug:
        warnings.simplefilter("ignore")
