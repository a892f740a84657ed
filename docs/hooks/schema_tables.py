"""Tables of the fields that a JSON Schema in ``Resources`` describes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

RESOURCES = Path(__file__).resolve().parents[2] / "Resources"


def read_schema(name: str) -> dict[str, Any]:
    """Return a schema of ``Resources``."""
    found: dict[str, Any] = json.loads((RESOURCES / name).read_text(encoding="utf-8"))
    return found


def schema_page(name: str, title: str, text: str) -> str:
    """Describe a JSON Schema: a table of its fields, and one of each of its objects that are used by name."""
    schema = read_schema(name)
    lines = [f"# {title}", "", text, "", schema.get("description", ""), ""]
    lines += [f"The whole schema: [{name}](../../Resources/{name}).", "", *fields(schema, name)]
    for key, node in schema.get("$defs", {}).items():
        if "properties" in node:
            lines += ["", f"## {key}", "", sentence(node.get("description", "")), "", *fields(node, name)]
    return "\n".join(lines) + "\n"


def fields(node: Mapping[str, Any], name: str) -> list[str]:
    """Return the lines of a table of the fields of an object in the schema `name`; none where it has no field."""
    rows = [f"| `{path}` | {cell(kind)} | {cell(text)} |" for path, kind, text in _rows(node, read_schema(name), "")]
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
        yield path, kind, sentence(text) + default
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


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital letter and a full stop."""
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!', ':')) else '.'}" if text else ""


def cell(text: str) -> str:
    """Return a text as it stands in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
