"""``nativedl doctor``: what is installed and configured, what is wrong with it, and what to do."""

import argparse
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from NativeDLLib import __version__
from NativeDLLib.cli.options import add_command, add_pacs
from NativeDLLib.core.errors import NativeDLError
from NativeDLLib.core.places import kept
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.versions import versions
from NativeDLLib.inference.device import available_devices
from NativeDLLib.pacs.outbox import Outbox
from NativeDLLib.pacs.peers import Timeouts, load_peers
from NativeDLLib.pacs.services import echo
from NativeDLLib.panel.requirements import missing
from NativeDLLib.panel.wording import outbox_text
from NativeDLLib.registry.load import load_registry, registry_files
from NativeDLLib.registry.runtimes import RUNTIMES
from NativeDLLib.registry.weights import check_there, to_be_fetched

_PATIENCE = Timeouts(connect=3, acse=3, dimse=3, network=3)


@dataclass(frozen=True)
class _Finding:
    """A thing that was looked at: its state, and the remedy where one is needed."""

    name: str
    about: str
    state: Literal["ok", "note", "problem"] = "ok"
    remedy: str = ""


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    text = "look at installation, devices, models, peers and outbox, and say what to do"
    add_pacs(add_command(subparsers, "doctor", run, text))


def run(args: argparse.Namespace, progress: Progress) -> int:
    """Look at everything; 1 where something is wrong."""
    found: list[_Finding] = []
    for look in (_installation, _devices, _models, _peers, _outbox, _folders):
        progress.check()
        try:
            found += look(args.pacs)
        except NativeDLError as error:
            found.append(_problem(look.__name__.strip("_"), error))
    problems = sum(finding.state == "problem" for finding in found)
    report = {"problems": problems, "findings": [asdict(finding) for finding in found]}
    lines = []
    for finding in found:
        remedy = [f"         -> {finding.remedy}"] if finding.remedy else []
        lines += [f"{finding.state:<8} {finding.name}: {finding.about}", *remedy]
    progress.result(report, *lines, f"{problems} problem(s)")
    return 1 if problems else 0


def _problem(name: str, error: NativeDLError, remedy: str = "put that right") -> _Finding:
    return _Finding(name, str(error), "problem", error.hint or remedy)


def _installation(_: object) -> Iterator[_Finding]:
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    yield _Finding("NativeDL", f"{__version__}, Python {platform.python_version()}, {packages}")
    for lack in missing():
        yield _Finding("package", f"{lack.name} is missing or too old", "problem", f"pip install '{lack.specifier}'")


def _devices(_: object) -> Iterator[_Finding]:
    yield from (_Finding("device", f"{word} ({about})") for word, about in available_devices().items())


def _models(_: object) -> Iterator[_Finding]:
    for file in registry_files():
        try:
            models = load_registry(file)
        except NativeDLError as error:
            yield _problem("registry", error)
            continue
        yield _Finding("registry", f"{file}: {len(models)} model(s)")
        for model in models:
            try:
                check_there(model)
            except NativeDLError as error:
                # Nobody needs every runtime, or the weights of every model that comes along.
                optional = any(to_be_fetched(needed) or RUNTIMES[needed.runtime].problem for needed in model.needed)
                yield replace(_problem("model", error), state="note" if optional else "problem")
            else:
                yield _Finding("model", f"{model.tool_name} is ready")


def _peers(file: Path | None) -> Iterator[_Finding]:
    if file is None and not kept("pacs.json").exists():
        yield _Finding("peers", "none is configured", "note", f"describe your PACS in {kept('pacs.json')}")
        return
    for peer in load_peers(file).values():
        try:
            yield _Finding("peer", f"{peer} answers in {echo(replace(peer, timeouts=_PATIENCE)):.2f} s")
        except NativeDLError as error:
            yield _problem("peer", error, "check its entry in pacs.json, and the PACS")


def _outbox(_: object) -> Iterator[_Finding]:
    if entries := [asdict(entry) for entry in Outbox().entries()]:
        yield _Finding("outbox", outbox_text(entries), "problem", "send them with: nativedl outbox send")
    else:
        yield _Finding("outbox", "nothing waits")


def _folders(_: object) -> Iterator[_Finding]:
    for name in ("models", "outbox", "results"):
        folder = kept(name)
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            yield _Finding("folder", f"{folder} can be written to")
        else:
            yield _Finding("folder", f"{folder} cannot be written to", "problem", f"look at the rights of {there}")
