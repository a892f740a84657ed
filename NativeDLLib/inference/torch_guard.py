"""A look into torch's archives before torch loads them, because it trusts what it reads.

``torch.export.load`` unpickles weights marked so, resolves operator names by walking torch's attributes, and hands
symbolic expressions and guards to an evaluator: each of these lets a hostile file run code. TorchScript is code anyway,
without a way to the system but for operators that read and write files. Only what a network needs passes here.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError

_MEMBER = re.compile(
    r"[^/]+/(data/(weights|constants)/[\w.]+|data/sample_inputs/model\.pt|models/model\.json|archive_(format|version)"
    r"|\.data/\w+|byteorder|extra/[\w.]+)"
)
_OPERATOR = re.compile(r"torch\.ops\.(aten|prims|higher_order)\.\w+(\.\w+)?|_operator\.[a-z]+|math\.(ceil|floor|trunc)")
# Reads a file of the caller's choice.
_FORBIDDEN_OPERATOR = re.compile(r"torch\.ops\.aten\.from_file\b.*|_operator\.(methodcaller|attrgetter|call)")
# Sizes as sympy prints them, and as its srepr does.
_SYMBOL = r"Symbol\('[su]\d+'(, (positive|nonnegative|integer)=(True|False))*\)|[su]\d+"
_FUNCTION = (
    r"Integer|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilToInt|TruncToInt|Eq|Ne|Lt|Le|Gt|Ge"
)
_EXPRESSION = re.compile(rf"({_SYMBOL}|({_FUNCTION})\(|\d+|[-+*/%()<>=&|, ])*")
_FILE_OPERATOR = re.compile(r"\b(torch|ops\s*\.\s*\w+)\s*\.\s*(save|load\w*|from_file)\b")
_LARGEST_JSON = 256 * 2**20


def is_pt2(path: Path) -> bool:
    """Tell whether a file is an archive written by ``torch.export.save``."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(
                name.endswith("/models/model.json") or name == "models/model.json" for name in archive.namelist()
            )
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ModelError(f"{path}: is neither a .pt2 nor a TorchScript file ({error})") from error


def check_pt2(path: Path) -> None:
    """Refuse an archive that could do more than compute.

    Raises
    ------
    ModelError
        Naming the first thing in it that an exported network has no need for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if not _MEMBER.fullmatch(name):
                    raise ModelError(f"{path}: holds '{name}', which an exported network has no need for")
            configurations = [name for name in archive.namelist() if name.endswith(".json")]
            for name in configurations:
                if archive.getinfo(name).file_size > _LARGEST_JSON:
                    raise ModelError(f"{path}: {name} is too large")
                for key, value in _pairs(json.loads(archive.read(name))):
                    _check_pair(path, name, key, value)
    except (OSError, zipfile.BadZipFile, ValueError, RecursionError, zlib.error) as error:
        raise ModelError(f"{path}: is a damaged .pt2 file ({error})") from error


def check_torchscript(path: Path) -> None:
    """Refuse a TorchScript archive whose code reads or writes files.

    Raises
    ------
    ModelError
        Naming the operator.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                found = _FILE_OPERATOR.search(archive.read(name).decode("utf-8")) if name.endswith(".py") else None
                if found:
                    raise ModelError(f"{path}: calls '{found.group()}', which a network has no need for")
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, zlib.error) as error:
        raise ModelError(f"{path}: is a damaged TorchScript file ({error})") from error


def _check_pair(path: Path, name: str, key: str, value: Any) -> None:
    if key == "use_pickle" and value:
        raise ModelError(f"{path}: {name} holds pickled weights, which are not loaded; export it again")
    if key == "target" and isinstance(value, str) and _is_operator(name, value):
        raise ModelError(f"{path}: calls '{value}', which a network has no need for")
    if key in ("expr_str", "as_expr") and isinstance(value, str) and not _EXPRESSION.fullmatch(value):
        raise ModelError(f"{path}: {name} holds the expression '{value[:80]}', which is not a size")
    if key == "guards_code" and value:
        raise ModelError(f"{path}: {name} holds Python guards, which are not run; export it without them")


def _is_operator(name: str, target: str) -> bool:
    """Tell whether a target names something to call that is not allowed; those of signatures name plain buffers."""
    looks_callable = target.startswith(("torch.", "_operator.", "math.", "#"))
    allowed = _OPERATOR.fullmatch(target) and not _FORBIDDEN_OPERATOR.fullmatch(target)
    return name.endswith("models/model.json") and looks_callable and not allowed


def _pairs(data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield key, value
            yield from _pairs(value)
    elif isinstance(data, list):
        for value in data:
            yield from _pairs(value)
