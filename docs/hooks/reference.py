"""MkDocs hook: pages of the reference made from the code, and the pictures and cards in ``Resources``.

A page links to ``../Resources/...``, which is right on the repository's own pages too; here it is made right in the
manual. The build fails where the code shows an event or reads a variable that has no description.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = (ROOT / "NativeDLLib", ROOT / "NativeDL")
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from schema_tables import RESOURCES, cell, fields, read_schema, schema_page, sentence  # noqa: E402

os.environ["COLUMNS"] = "100"

EVENTS = {
    "stage": "a stage began",
    "progress": "part of a stage is done (`fraction`, 0 to 1); `remaining_s` is an estimate in seconds",
    "decode": "a compressed image of this file is decoded now; a process that ends here by itself has been ended by it",
    "warning": "the user should know this; the work goes on",
    "result": "the work is done; the other keys are those of the command's report",
    "error": "the work ended with an error; `code` is the exit code",
    "case": "a case of a batch changed its state",
    "listening": "`serve` takes requests at this address",
    "request": "`serve` answered a request",
    "failure": "`serve` could not answer a request; the reason names no patient",
}
FOREIGN = {
    "HTTPS_PROXY": "proxy for downloads and DICOMweb",
    "SSL_CERT_FILE": "certificates to trust, for a certificate authority of your own",
    "CUDA_VISIBLE_DEVICES": "the GPUs that a process may see",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages made from the code, and what pages show of ``Resources``."""
    for name, make in _PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    for path in sorted(RESOURCES.rglob("*")):
        if path.suffix in (".png", ".md", ".json"):
            source = f"Resources/{path.relative_to(RESOURCES).as_posix()}"
            file = File.generated(config, source, abs_src_path=str(path))
            file.inclusion = type(file.inclusion).NOT_IN_NAV
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to the repository's ``Resources`` to those of the manual."""
    there = posixpath.relpath("Resources", posixpath.dirname(page.file.src_uri) or ".")
    return re.sub(r"\]\((?:\.\./)+Resources/", f"]({there}/", markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would load something from another computer."""
    if foreign := re.search(r"<(?:script|img|link)\b[^>]*\b(?:src|href)=\"?https?:[^>]*>", output):
        raise PluginError(f"{page.file.src_uri} loads from another computer: {foreign[0]}")
    return output


def _commands() -> str:
    from NativeDLLib.cli import main

    parser = main._parser(["--help"])
    lines = ["# Commands", "", "`nativedl …` and `python -m NativeDLLib …` are the same program.", ""]
    shared = {string for action in parser._actions for string in action.option_strings}
    lines += ["Every command takes:", "", *_options([a for a in parser._actions if a.option_strings])]
    for name, command, text in _leaves(parser, "nativedl"):
        lines += ["", f"## {name}", "", sentence(text), "", "```text", command.format_usage().strip(), "```"]
        for group in command._action_groups:
            own = [a for a in group._group_actions if not shared & set(a.option_strings)]
            rows = _options([a for a in own if not isinstance(a, argparse._SubParsersAction)])
            title = group.title or ""
            if rows:
                lines += ["", *([f"{sentence(title)}", ""] if title not in _PLAIN_GROUPS else []), *rows]
    return "\n".join(lines) + "\n"


_PLAIN_GROUPS = ("options", "positional arguments", "optional arguments")


def _leaves(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Give every command that can be run, with its name and its help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, child in action.choices.items():
                if helps.get(word, "") != argparse.SUPPRESS and word in helps:
                    has_children = any(isinstance(a, argparse._SubParsersAction) for a in child._actions)
                    if not has_children or child.get_default("run"):
                        yield f"{name} {word}", child, helps[word]
                    yield from _leaves(child, f"{name} {word}")


def _options(actions: list[argparse.Action]) -> list[str]:
    """Return a table of options and arguments; none where all are hidden."""
    formatter = argparse.HelpFormatter("nativedl")
    rows = []
    for action in actions:
        if action.help == argparse.SUPPRESS:
            continue
        values = formatter._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        if action.choices is not None and action.metavar is None:
            values = " or ".join(map(str, action.choices))
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        shown = f"`{name} {values}`" if action.option_strings and values else f"`{name}`"
        text = formatter._expand_help(action).replace("*", "\\*") if action.help else ""
        required = "required; " if action.option_strings and action.required else ""
        rows.append(f"| {cell(shown)} | {cell(required + text)} |")
    return ["| option | meaning |", "|---|---|", *rows] if rows else []


def _registry() -> str:
    return schema_page("registry.schema.json", "Registry", "A registry is a JSON file with models.")


def _postprocessing() -> str:
    from NativeDLLib.postprocess.steps import STEPS

    step = read_schema("registry.schema.json")["$defs"]["step"]
    rules = [rule for rule in step["allOf"] if "if" in rule]
    needs = {rule["if"]["properties"]["step"]["const"]: rule["then"].get("required", []) for rule in rules}
    lines = [
        "# Postprocessing steps",
        "",
        "A registry entry lists its steps under `postprocessing`. Those that work on the network's classes come first, "
        "in the order of this table; the others work on segments, in the order of the entry.",
        "",
        "| step | works on | needs | meaning |",
        "|---|---|---|---|",
    ]
    for name, row in STEPS.items():
        settings = ", ".join(f"`{field}`" for field in needs.get(name, [])) or "nothing"
        lines.append(f"| `{name}` | {'classes' if row.on_classes else 'segments'} | {settings} | {cell(row.about)} |")
    settings = fields(step, "registry.schema.json")
    lines += ["", "## Settings", "", *(row.replace("](#", "](registry.md#") for row in settings)]
    return "\n".join(lines) + "\n"


def _events() -> str:
    from NativeDLLib.core import errors

    lines = ["# Exit codes and events", "", "## Exit codes", "", "| code | meaning |", "|---|---|", "| 0 | done |"]
    classes = {error for error in vars(errors).values() if isinstance(error, type)}
    for error in sorted(classes, key=lambda each: each.exit_code):
        first = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        if error is errors.NativeDLError:
            first = "The result could not be written, or a defect of this program (`--debug` shows where)."
        lines.append(f"| {error.exit_code} | {cell(first)} |")
    lines += ["", "## Events", "", "With `--events` standard output is one JSON object a line, for a program.", ""]
    found = _events_of_code()
    _agree("events", set(EVENTS), set(found))
    lines += ["| event | keys | meaning |", "|---|---|---|"]
    for name, text in EVENTS.items():
        keys = ", ".join(f"`{key}`" for key in found[name]) or "none"
        lines.append(f"| `{name}` | {keys} | {text} |")
    return "\n".join(lines) + "\n"


def _events_of_code() -> dict[str, list[str]]:
    """Return the keys of each event that the library shows, from its source."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "NativeDLLib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Dict):
                continue
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            values = dict(zip(keys, node.values, strict=True))
            event = values.get("event")
            if isinstance(event, ast.Constant):
                names = [str(key) for key in keys if key not in (None, "event")]
                kept = found.setdefault(str(event.value), [])
                kept += [name for name in names if name not in kept]
    return found


def _environment() -> str:
    from NativeDLLib.core.places import KEPT, VARIABLES

    moved = {row.variable: f"another place for `~/.nativedl/{name}`" for name, row in KEPT.items() if row.variable}
    variables = dict(sorted((moved | VARIABLES).items()))
    source = "".join(path.read_text(encoding="utf-8") for room in _SOURCES for path in sorted(room.rglob("*.py")))
    _agree("environment variables", set(variables), set(re.findall(r"\bNATIVEDL_[A-Z]+\b", source)))
    lines = ["# Environment and ~/.nativedl", "", "## Environment variables", "", "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in (variables | FOREIGN).items()]
    lines += ["", "## ~/.nativedl", "", "All that NativeDL keeps for a user.", "", "| name | holds |", "|---|---|"]
    lines += [f"| `{name}` | {row.about} |" for name, row in KEPT.items()]
    return "\n".join(lines) + "\n"


def _agree(kind: str, described: set[str], there: set[str]) -> None:
    if described != there:
        raise PluginError(
            f"{kind} without a description: {sorted(there - described)}; described, but not in the code: "
            f"{sorted(described - there)}"
        )


def _architecture() -> str:
    from NativeDLLib.registry.architecture.rules import DEFAULTS

    page = schema_page("architecture.schema.json", "Architectures", "A network described as JSON.")
    lines = ["", "## Layers", "", "| type | parameters (defaults) |", "|---|---|"]
    for rule in read_schema("architecture.schema.json")["$defs"]["layer"]["allOf"]:
        kind = rule["if"]["properties"]["type"]["const"]
        defaults = DEFAULTS.get(kind, {})
        names = [name for name in rule["then"]["properties"] if name not in ("name", "type")]
        shown = [f"`{name}`" + (f" ({json.dumps(defaults[name])})" if name in defaults else "") for name in names]
        lines.append(f"| `{kind}` | {', '.join(shown) or 'none'} |")
    return page + "\n".join(lines) + "\n"


def _of_schema(name: str, title: str, text: str) -> Callable[[], str]:
    return lambda: schema_page(name, title, text)


_PAGES: dict[str, Callable[[], str]] = {
    "commands": _commands,
    "registry": _registry,
    "postprocessing": _postprocessing,
    "report": _of_schema("report.schema.json", "report.json", "`report.json` is written last, with every result."),
    "events": _events,
    "environment": _environment,
    "pacs": _of_schema("pacs.schema.json", "pacs.json", "The peers: `~/.nativedl/pacs.json`, or the file of `--pacs`."),
    "watch": _of_schema("watch.schema.json", "watch.json", "Rules of automatic segmentation."),
    "regions": _of_schema("regions.schema.json", "Regions", "The file that `nativedl regions` writes."),
    "training": _of_schema("training.schema.json", "Training files", "The file that `nativedl train --config` takes."),
    "architecture": _architecture,
}
