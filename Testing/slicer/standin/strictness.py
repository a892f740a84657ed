"""Reads source without running it and names what works with PySide but not with PythonQt, or not in Slicer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

BINDINGS = ("PySide2", "PySide6", "PyQt5", "PyQt6", "shiboken6", "shibokensupport", "__feature__")
ONLY_PYSIDE = ("Signal", "Slot", "Property", "SIGNAL", "SLOT")
NAMESPACES = ("qt", "ctk", "slicer")


def problems(folder: Path) -> list[str]:
    """Return one line for each doubtful place in the Python files of a folder: file, line, what to write instead."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        for line, text in sorted(check(path.read_text(encoding="utf-8"))):
            found.append(f"{path.relative_to(folder)}:{line}: {text}")
    return found


def check(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the description of every doubtful place in a source text."""
    for node in ast.walk(ast.parse(source)):
        for text in _doubts(node):
            yield getattr(node.context_expr if isinstance(node, ast.withitem) else node, "lineno", 0), text


def _doubts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        yield from (f"{name} is not in Slicer; import qt" for name in names if name.split(".")[0] in BINDINGS)
    elif isinstance(node, ast.withitem):
        chain = _chain(getattr(node.context_expr, "func", node))
        if chain[:1] == ["qt"]:
            yield f"with {'.'.join(chain)}: is no context manager in PythonQt"
    elif isinstance(node, ast.Attribute):
        yield from _attribute(_chain(node))
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, ast.ClassDef) and any("parameterNodeWrapper" in ast.unparse(d) for d in node.decorator_list):
        yield from (
            f"{ast.unparse(each)}: write typing.Optional or typing.Union, Slicer's wrapper refuses |"
            for each in node.body
            if isinstance(each, ast.AnnAssign)
            and any(
                isinstance(part, ast.BinOp) and isinstance(part.op, ast.BitOr) for part in ast.walk(each.annotation)
            )
        )


def _attribute(chain: list[str]) -> Iterator[str]:
    if chain[:1] != ["qt"]:
        return
    if len(chain) == 2 and chain[1] in ONLY_PYSIDE:
        yield f"qt.{chain[1]} is not in PythonQt"
    if len(chain) == 4 and all(part[:1].isupper() for part in chain[1:]):
        yield f"{'.'.join(chain)}: enums are flat in PythonQt, write {'.'.join([*chain[:2], chain[3]])}"


def _call(node: ast.Call) -> Iterator[str]:
    chain = _chain(node.func)
    if len(chain) == 2 and chain[0] in NAMESPACES and node.keywords and _is_qt_class(chain[1]):
        yield f"{'.'.join(chain)}: PythonQt takes no keyword arguments"
    if chain == ["isinstance"] and len(node.args) == 2:
        kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
        for kind in map(_chain, kinds):
            if len(kind) == 2 and kind[0] in NAMESPACES and _is_qt_class(kind[1]):
                yield f"isinstance: PythonQt's classes do not inherit each other, write inherits({kind[1]!r})"
    if not isinstance(node.func, ast.Attribute):
        return
    name = node.func.attr
    if name == "setCursor" and any(_chain(argument)[:2] == ["qt", "Qt"] for argument in node.args):
        yield "setCursor: PythonQt needs a qt.QCursor"
    if name == "exec":
        yield "exec: write exec_() as Slicer does"
    if not node.args and not node.keywords and name in getters():
        yield f"{name}(): is an attribute in PythonQt, without brackets"


def _is_qt_class(name: str) -> bool:
    return name.startswith(("Q", "ctk", "qMRML", "qSlicer"))


def _chain(node: ast.AST) -> list[str]:
    """Return ``["qt", "Qt", "UserRole"]`` for such an expression, and nothing for any other."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []


@cache
def getters() -> frozenset[str]:
    """Return the names that are a property wherever Qt has them, so that calling them is wrong on any object."""
    from . import qtmodule
    from .pythonqt import QtProperty

    properties: set[str] = set()
    methods: set[str] = set()
    for cls in qtmodule.adapt_pyside():
        own = {name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, QtProperty)}
        properties |= own
        methods |= {name for name in dir(cls) if name not in own and callable(getattr(cls, name, None))}
    return frozenset(properties - methods - set(dir(str)) - set(dir(dict)) - set(dir(Path)))
