"""Wrong command lines, configuration files and defects: one line that says what to do, and the right exit code."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from tools import nativedl

from NativeDLLib.cli import main as cli


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "nobody"], 4, "there is no model 'nobody'"),
        (["--set", "step=7"], 2, "settings: parameter step: 7 is not within 0.25 to 1"),
        (["--set", "step"], 2, "write name=value"),
        (["--set", "speed=1"], 2, "has no parameter 'speed'; it has step, min_volume"),
        (["--device", "gpu"], 2, "write auto, cpu, cuda"),
        (["--device", "mps"], 4, "use auto or cpu"),
        (["--series", "1.2.3"], 3, "holds no image series 1.2.3"),
        (["--database", "x"], 2, "name one source"),
        (["--to", "NOBODY"], 2, "pacs.json"),
        (["--segmentation", "FRACTIONAL"], 2, "invalid choice"),
    ],
)
def test_wrong_arguments_are_one_line_that_says_what_to_do(
    tmp_path, registry, series, capsys, arguments, code, message
):
    found = nativedl("run", "--input", series, "--output", tmp_path / "out", *arguments, registry=registry)

    error = capsys.readouterr().err.strip()
    assert (found, error.count("\n")) == (code, 0)
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "must be an object"),
        ('{"modle": "x"}', "'modle' is not known"),
        ('{"model": 3}', "model: must be text"),
        ('{"segmentation": "X"}', "not BINARY or LABELMAP"),
        ('{"parameters": {"step": "fast"}}', "parameter step: 'fast' is not a number"),
        ("{", "line 1"),
    ],
)
def test_a_wrong_configuration_file_is_named(tmp_path, registry, series, capsys, content, message):
    path = tmp_path / "config.json"
    path.write_text(content)

    code = nativedl("run", "--input", series, "--output", tmp_path / "o", "--config", path, registry=registry)

    assert code == 2
    error = capsys.readouterr().err
    assert "config.json" in error
    assert message in error


@pytest.mark.parametrize(
    "source", [[], ["--database", "/nowhere.sql"], ["--from", "X"], ["--from", "X", "--study", "1"]]
)
def test_a_source_must_be_complete(tmp_path, registry, source, capsys):
    assert nativedl("run", *source, "--output", tmp_path / "out", registry=registry) == 2
    assert "--" in capsys.readouterr().err


def test_a_defect_is_one_line_and_debug_shows_where(tmp_path, registry, series, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("NativeDLLib.segment.pipeline.measure", broken)
    run = ["run", "--input", series, "--output", tmp_path / "out"]

    assert nativedl(*run, registry=registry) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "unexpected ZeroDivisionError: oops" in error
    assert nativedl(*run, "--debug", registry=registry) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "option", "text"),
    [
        *(("train", option, text) for option in ("--steps", "--minutes", "--threads") for text in ("0", "-1", "nan")),
        *(("serve", option, "0") for option in ("--jobs", "--max-upload", "--max-parts", "--max-memory", "--timeout")),
        *(("batch", option, "0") for option in ("--jobs", "--max-memory")),
        *(("serve", "--queue", "-1"), ("train", "--seed", "-1"), ("train", "--minutes", "x")),
    ],
)
def test_a_number_that_is_none_or_too_small_is_named(capsys, command, option, text):
    assert nativedl(command, f"{option}={text}") == 2

    assert option in capsys.readouterr().err


def test_the_version_and_help_are_there(capsys):
    for option in ("--version", "--help"):
        with pytest.raises(SystemExit) as ended:
            nativedl(option)
        assert ended.value.code == 0
    assert "0 done" in capsys.readouterr().out
    assert (Path(ROOT) / "NativeDLLib" / "__main__.py").exists()


@pytest.mark.parametrize("name", cli._COMMANDS)
def test_only_the_module_of_a_command_is_asked_for_it(name):
    for command in cli._COMMANDS[name]:
        (choices,) = [a.choices for a in cli._parser([command])._actions if isinstance(a, argparse._SubParsersAction)]
        assert tuple(choices) == cli._COMMANDS[name]


def test_a_folder_and_o_are_all_that_a_run_needs(tmp_path, registry, series):
    assert nativedl("run", series, "-o", tmp_path / "out", "--model", "bright", registry=registry) == 0
    assert nativedl("run", "--model", "bright", "-o", tmp_path / "two", series, registry=registry) == 0
    assert (tmp_path / "out" / "report.json").exists()
    assert (tmp_path / "two" / "report.json").exists()


@pytest.mark.parametrize("word", ["--with-parent", "--turn", "--loaded", "--regularized"])
def test_what_is_between_our_own_programs_is_not_in_the_help(capsys, word):
    for command in ("run", "inspect", "batch"):
        with pytest.raises(SystemExit):
            nativedl("help", command)

    assert word not in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_gets_a_script_that_completes_commands_and_options(capsys, tmp_path, shell):
    with pytest.raises(SystemExit) as ended:
        nativedl("--print-completion", shell)

    script = capsys.readouterr().out
    assert not ended.value.code
    assert {"doctor", "read-rtstruct", "--accept", "--retry-failed"} <= set(re.findall(r"[-\w]+", script))
    assert "--with-parent" not in script
    if shell == "bash":
        (tmp_path / "script").write_text(script)
        subprocess.run(["bash", "-n", tmp_path / "script"], check=True)


def test_without_its_package_one_line_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert nativedl("--print-completion", "bash") == 2
    assert "pip install 'NativeDL[completion]'" in capsys.readouterr().err
