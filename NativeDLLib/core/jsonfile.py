"""JSON files that people write: read strictly, checked against a JSON Schema, wrong in words that name the place."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import NativeDLError
from NativeDLLib.core.places import resources_folder

_LARGEST = 16 * 2**20


def read_json(path: Path, error: type[NativeDLError], largest: int = _LARGEST) -> Any:
    """Content of a JSON file in UTF-8. `error` is raised where it cannot be read, is larger than `largest` bytes, has a
    key twice, or a number that JSON does not have.
    """
    try:
        if path.stat().st_size > largest:
            raise error(f"{path}: is larger than {largest // 2**20} MiB")
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from problem
    return parse_json(content, str(path), error)


def parse_json(content: str | bytes, where: str, error: type[NativeDLError]) -> Any:
    """Return the data of a JSON text, as strictly as `read_json`; `where` names it in messages."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{where}: is not UTF-8 text (byte {problem.start})") from problem
    try:
        data = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_countable
        )
        # Half a character that was escaped: it can be held, but neither be shown nor stored.
        json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as problem:
        raise error(f"{where}: line {problem.lineno} column {problem.colno}: {problem.msg}") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{where}: {str(problem)[:200]}") from problem
    return data


def check_schema(data: Any, schema_name: str, path: Path, error: type[NativeDLError], list_name: str) -> None:
    """Check data by a schema in ``Resources``; `error` names the entry in the list `list_name`, and the field."""
    try:
        problem = _best(_validator(schema_name).iter_errors(data))
    except RecursionError as deep:
        raise error(f"{path}: is nested too deeply") from deep
    except ModuleNotFoundError as absent:
        raise error(f"{path}: cannot be checked before the Python package {absent.name} is installed") from absent
    if problem is not None:
        raise error(f"{path}: {json_path(data, problem.absolute_path, list_name)}: {words_of(problem)}")


def problem_of(value: Any, schema_name: str, pointer: str) -> str | None:
    """Say what is wrong with a value by the part of a schema that a JSON pointer names; None where nothing is."""
    problem = _best(_validator(schema_name, pointer).iter_errors(value))
    return None if problem is None else words_of(problem)


def words_of(problem: Any) -> str:
    """Say what a validator found wrong; most of its words are plain, some are not."""
    wanted, given = problem.validator_value, problem.instance
    match problem.validator:
        case "not":
            return "is not allowed here"
        case "required":
            message = f"{next(name for name in wanted if name not in given)!r} is missing"
        case "dependentRequired":
            pairs = ((name, other) for name in wanted if name in given for other in wanted[name])
            message = "{1!r} is missing, which {0!r} needs".format(*next(p for p in pairs if p[1] not in given))
        case "additionalProperties":
            known = problem.schema.get("properties", {})
            patterns = "|".join(problem.schema.get("patternProperties", ())) or "$."
            unknown = next(name for name in given if name not in known and not re.search(patterns, name))
            message = f"{unknown!r} is not known here"
        case "enum":
            message = f"{given!r} is not one of {', '.join(map(str, wanted))}"
        case "const":
            message = f"{given!r} is not {wanted!r}"
        case "oneOf" | "anyOf":
            message = f"{given!r} is in none, or in several, of the forms that may stand here"
        case _:
            message = str(problem.message)
    return message if len(message) <= 200 else f"{message[:200]} ..."


def json_path(data: Any, steps: Iterable[str | int], list_name: str) -> str:
    """Return where in the data something is, as ``models[1] (liver).input.spacing``."""
    shown, here, previous = "", data, None
    for step in steps:
        here = here[step]
        shown += f"[{step}]" if isinstance(step, int) else f".{step}"
        if previous == list_name and isinstance(here, dict):
            name = here.get("id", here.get("name"))
            shown += f" ({str(name)[:64]})" if name is not None else ""
        previous = step
    return shown.lstrip(".") or "top level"


def _best(problems: Iterable[Any]) -> Any:
    from jsonschema.exceptions import best_match

    return best_match(problems)


@cache
def _validator(schema_name: str, pointer: str = "") -> Any:
    # Imported where it is used: a panel that only wants to know its version does not wait for it.
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def pattern(validator: Any, expression: str, instance: Any, field: Any) -> Iterator[ValidationError]:
        # In JSON Schema $ is the very end; in Python a line break may still follow it.
        if validator.is_type(instance, "string") and not re.search(expression.replace("$", r"\Z"), instance):
            told = str(field.get("description", "")).partition(". ")[0].rstrip(".")
            yield ValidationError(f"{instance!r} does not match{': ' + told if told else ' what may stand here'}")

    schema = json.loads((resources_folder() / schema_name).read_text(encoding="utf-8"))
    if pointer:
        schema = {"$defs": schema["$defs"], "$ref": f"#{pointer}"}
    return extend(Draft202012Validator, {"pattern": pattern})(schema)  # type: ignore[no-untyped-call]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(k for k in keys if keys.count(k) > 1)}' is there twice")
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _countable(text: str) -> int:
    # Everything that computes with it computes in double precision.
    _finite(text)
    return int(text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
