"""The rooms of the library: a room imports only rooms above it in this list."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

ROOMS = (
    *("core", "pacs", "phantom", "registry", "source", "worker", "postprocess", "inference", "quality"),
    *("volumes", "dicom", "models", "results", "panel", "regions", "review", "tools", "segment"),
    *("batch", "serve", "training", "demo", "cli"),
)
LIBRARY = ROOT / "NativeDLLib"


def _imported(path: Path) -> list[tuple[int, str]]:
    """Line and room of every import of the library, also those inside functions and of type checkers."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "NativeDLLib":
            modules = [f"NativeDLLib.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        found += [(node.lineno, m.split(".")[1]) for m in modules if m.startswith("NativeDLLib.")]
    return [(line, room) for line, room in found if room != "__version__"]


def upward_imports(library: Path) -> list[str]:
    return [
        f"{path.relative_to(library)}:{line}: imports {room}"
        for path in sorted(library.glob("*/**/*.py"))
        for line, room in _imported(path)
        if ROOMS.index(room) > ROOMS.index(path.relative_to(library).parts[0])
    ]


def test_no_room_imports_a_room_below_it_in_the_list():
    assert upward_imports(LIBRARY) == []


def test_every_folder_is_a_room_and_nothing_lies_loose():
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= set(ROOMS)
    assert {path.name for path in LIBRARY.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize(
    "line", ["from NativeDLLib.cli import run", "import NativeDLLib.cli", "from NativeDLLib import cli"]
)
def test_an_import_upwards_is_seen(tmp_path, line):
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "files.py").write_text(f"def late():\n    {line}\n")

    assert upward_imports(tmp_path) == ["core/files.py:2: imports cli"]


def test_the_subject_of_no_docstring_is_a_question():
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for path in LIBRARY.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]

    assert len(texts) > 1000
    assert [text for text in texts if text.startswith("What ")] == []
