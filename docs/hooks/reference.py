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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
RESOURCES = ROOT / "Resources"
_SOURCES = (ROOT / "NativeDLLib", ROOT / "NativeDL")
sys.path.insert(0, str(ROOT))
os.environ["COLUMNS"] = "100"

EVENTS = {
    "stage": "a stage began",
    "progress": "part of a stage is done (`fraction`, 0 to 1); `remaining_s` is an estimate in seconds",
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
        if files.get_file_from_path(f"reference/{name}.md") is None:
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
        lines += ["", f"## {name}", "", _sentence(text), "", "```text", command.format_usage().strip(), "```"]
        for group in command._action_groups:
            own = [a for a in group._group_actions if not shared & set(a.option_strings)]
            rows = _options([a for a in own if not isinstance(a, argparse._SubParsersAction)])
            title = group.title or ""
            if rows:
                lines += ["", *([f"{_sentence(title)}", ""] if title not in _PLAIN_GROUPS else []), *rows]
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
        rows.append(f"| {_cell(shown)} | {_cell(required + text)} |")
    return ["| option | meaning |", "|---|---|", *rows] if rows else []


def _registry() -> str:
    return _schema_page("registry.schema.json", "Registry", "A registry is a JSON file with models.")


def _postprocessing() -> str:
    from NativeDLLib.postprocess.steps import STEPS

    step = _schema("registry.schema.json")["$defs"]["step"]
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
        lines.append(f"| `{name}` | {'classes' if row.on_classes else 'segments'} | {settings} | {_cell(row.about)} |")
    fields = _fields(step, "registry.schema.json")
    lines += ["", "## Settings", "", *(row.replace("](#", "](registry.md#") for row in fields)]
    return "\n".join(lines) + "\n"


def _report() -> str:
    return _schema_page("report.schema.json", "report.json", "`report.json` is written last, with every result.")


def _events() -> str:
    from NativeDLLib.core import errors

    lines = ["# Exit codes and events", "", "## Exit codes", "", "| code | meaning |", "|---|---|", "| 0 | done |"]
    classes = {error for error in vars(errors).values() if isinstance(error, type)}
    for error in sorted(classes, key=lambda each: each.exit_code):
        first = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        if error is errors.NativeDLError:
            first = "The result could not be written, or a defect of this program (`--debug` shows where)."
        lines.append(f"| {error.exit_code} | {_cell(first)} |")
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

    page = _schema_page("architecture.schema.json", "Architectures", "A network described as JSON.")
    lines = ["", "## Layers", "", "| type | parameters (defaults) |", "|---|---|"]
    for rule in _schema("architecture.schema.json")["$defs"]["layer"]["allOf"]:
        kind = rule["if"]["properties"]["type"]["const"]
        defaults = DEFAULTS.get(kind, {})
        names = [name for name in rule["then"]["properties"] if name not in ("name", "type")]
        shown = [f"`{name}`" + (f" ({json.dumps(defaults[name])})" if name in defaults else "") for name in names]
        lines.append(f"| `{kind}` | {', '.join(shown) or 'none'} |")
    return page + "\n".join(lines) + "\n"


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESOURCES / name).read_text(encoding="utf-8"))
    return found


def _schema_page(name: str, title: str, text: str) -> str:
    """Describe a JSON Schema: a table of its fields, and one of each of its objects that are used by name."""
    schema = _schema(name)
    lines = [f"# {title}", "", text, "", schema.get("description", ""), ""]
    lines += [f"The whole schema: [{name}](../../Resources/{name}).", "", *_fields(schema, name)]
    for key, node in schema.get("$defs", {}).items():
        if "properties" in node:
            lines += ["", f"## {key}", "", _sentence(node.get("description", "")), "", *_fields(node, name)]
    return "\n".join(lines) + "\n"


def _fields(node: Mapping[str, Any], name: str) -> list[str]:
    rows = [f"| `{path}` | {_cell(kind)} | {_cell(text)} |" for path, kind, text in _rows(node, _schema(name), "")]
    return ["| field | is | meaning |", "|---|---|---|", *rows] if rows else []


def _rows(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, child in node.get("properties", {}).items():
        if key == "$schema" or not isinstance(child, dict) or "not" in child:
            continue
        path = f"{prefix}{key}"
        wanted = key in node.get("required", ())
        target, reference = _target(child, schema)
        text = child.get("description") or target.get("description", "")
        if not text:
            raise PluginError(f"{schema.get('title')}: {path} has no description")
        default = f" Default: `{json.dumps(child['default'])}`." if "default" in child else ""
        kind = _kind(child, schema) + ("" if not wanted else "; required")
        yield path, kind, _sentence(text) + default
        if reference and "properties" in target:
            continue
        if "properties" in target:
            yield from _rows(target, schema, f"{path}.")
        items = target.get("items")
        if isinstance(items, dict) and "properties" in items:
            yield from _rows(items, schema, f"{path}[].")


def _target(node: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Follow a reference; return the node and the name of the definition, empty where there is none."""
    reference = node.get("$ref", "")
    if not reference:
        return node, ""
    found: Any = schema
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found, reference.rpartition("/")[2]


def _kind(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Say in words which values a node of a schema takes."""
    target, reference = _target(node, schema)
    if reference and "properties" in target:
        return f"[{reference}](#{reference})"
    if "const" in target:
        return f"`{json.dumps(target['const'])}`"
    if "enum" in target:
        return " or ".join(f"`{value}`" for value in target["enum"])
    for union in ("oneOf", "anyOf"):
        if union in target and all("required" not in each or "properties" in each for each in target[union]):
            return " or ".join(_kind(each, schema) for each in target[union])
    merged = dict(target)
    for part in target.get("allOf", ()):
        merged |= _target(part, schema)[0]
    types = merged.get("type", "object" if "properties" in merged else "array" if "items" in merged else "")
    words = [_WORDS[word] for word in ([types] if isinstance(types, str) else types) if word]
    if words == ["list"]:
        items = merged.get("items")
        inner = _kind(items, schema) if isinstance(items, dict) else "values"
        count = f"{merged['minItems']} × " if merged.get("minItems") == merged.get("maxItems") != None else ""  # noqa: E711
        return f"list of {count}{inner}"
    low, high = merged.get("minimum", merged.get("exclusiveMinimum")), merged.get("maximum")
    above = "above " if "exclusiveMinimum" in merged else ""
    span = f", {above}{low} to {high}" if low is not None and high is not None else ""
    span = span or (f", {above or 'at least '}{low}" if low is not None else "")
    return (" or ".join(words) or "any value") + span


_WORDS = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!', ':')) else '.'}" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _of_schema(name: str, title: str, text: str) -> Callable[[], str]:
    return lambda: _schema_page(name, title, text)


_PAGES: dict[str, Callable[[], str]] = {
    "commands": _commands,
    "registry": _registry,
    "postprocessing": _postprocessing,
    **({"report": _report} if (RESOURCES / "report.schema.json").exists() else {}),
    "events": _events,
    "environment": _environment,
    "pacs": _of_schema("pacs.schema.json", "pacs.json", "The peers: `~/.nativedl/pacs.json`, or the file of `--pacs`."),
    "watch": _of_schema("watch.schema.json", "watch.json", "Rules of automatic segmentation."),
    "regions": _of_schema("regions.schema.json", "Regions", "The file that `nativedl regions` writes."),
    "training": _of_schema("training.schema.json", "Training files", "The file that `nativedl train --config` takes."),
    "architecture": _architecture,
}
