"""Messages are for everybody, also where nobody types commands; what names an option is a hint."""

import ast
import re

import pytest
from conftest import ROOT

from NativeDLLib.core.errors import NativeDLError
from NativeDLLib.core.progress import Progress

# An option, a command or a variable within a sentence; a word of a command line stands alone.
_FOR_A_TERMINAL = re.compile(r"(?<![\w-])--[a-z]|\bnativedl [a-z]|\bpip install\b|\bNATIVEDL_[A-Z]")
_WORD = re.compile(r"--[a-z][\w-]*(=\S*)?|NATIVEDL_\w+")


def named_options(code: str) -> list[str]:
    """Texts that name an option, outside docstrings and hints."""
    tree = ast.parse(code)
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    hints = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "hint"]
    hints += [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.endswith("_hint")]
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    hints += [node.value for node in assigned if [ast.unparse(target) for target in node.targets] == ["hint"]]
    apart |= {id(part) for hint in hints for part in ast.walk(hint)}
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in apart]
    return [t for t in texts if isinstance(t, str) and _FOR_A_TERMINAL.search(t) and not _WORD.fullmatch(t)]


def test_no_message_outside_the_command_line_names_an_option():
    files = [f for f in (*ROOT.glob("NativeDLLib/**/*.py"), *ROOT.glob("NativeDL/**/*.py")) if f.parent.name != "cli"]

    found = {str(file): texts for file in files if (texts := named_options(file.read_text("utf-8")))}

    assert len(files) > 100
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        'raise X("choose one with --series")',
        'raise X(f"{path}: try nativedl models fetch {id}")',
        'warnings = [f"another fits (--model)"]',
        'f(message="pip install it")',
    ],
)
def test_a_message_with_an_option_would_be_found(code):
    assert named_options(code)


@pytest.mark.parametrize(
    "code",
    [
        'command = ["run", "--output", f"--set={x}"]',
        'raise X("no series", hint="give --series")',
        'hint = "give --series"',
        '"""--x."""',
    ],
)
def test_command_lines_hints_and_docstrings_may_name_options(code):
    assert not named_options(code)


def test_message_and_hint_are_one_line_each_and_the_message_stands_alone():
    error = NativeDLError("two\nlines", hint="give\n--this")

    assert (str(error), error.hint) == ("two lines", "give --this")


def test_events_carry_message_and_hint_apart():
    shown = []
    progress = Progress()
    progress.show = shown.append
    progress.warn("odd", hint="see --this")
    progress.error(NativeDLError("wrong", hint="give --that"))

    assert [(event["message"], event["hint"]) for event in shown] == [("odd", "see --this"), ("wrong", "give --that")]
    assert progress.warnings == ["odd"]
