"""The script for ``Slicer --python-script``, in an interpreter where only Slicer's way to end is made up."""

import os
import stat
import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPT = ROOT / "NativeDL" / "NativeDLBatch.py"


@pytest.fixture
def slicer(tmp_path, registry):
    """Run the script as Slicer does; return the exit code that it gave to Slicer, and what it printed."""
    package = tmp_path / "python" / "slicer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "util.py").write_text(
        "import os\n\ndef exit(code):\n    print('Slicer exits with', code)\n    os._exit(0)\n"
    )
    interpreter = tmp_path / "bin" / "PythonSlicer"
    interpreter.parent.mkdir()
    interpreter.write_text(f'#!/bin/sh\necho started >> "{tmp_path}/jobs"\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)

    def run(*arguments):
        environment = os.environ | {
            "PYTHONPATH": str(tmp_path / "python"),
            "PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}",
            "NATIVEDL_REGISTRY": str(registry),
        }
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        (last,) = [line for line in ended.stdout.splitlines() if line.startswith("Slicer exits with ")]
        return int(last.split()[-1]), ended.stdout + ended.stderr

    return run


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for PythonSlicer is a shell script")
@pytest.mark.parametrize("dashes", [["--"], []], ids=["with --", "where Slicer takes it away"])
def test_the_script_does_a_batch_with_slicers_python(tmp_path, slicer, cohort, dashes):
    code, printed = slicer(*dashes, "--input", cohort(1), "--output", tmp_path / "out")

    assert code == 0, printed
    assert "1 done, 0 failed, 0 left of 1 cases" in printed
    assert (tmp_path / "jobs").read_text() == "started\n"


def test_an_error_is_one_line_and_slicer_ends_with_its_code(tmp_path, slicer):
    code, printed = slicer("--", "--input", tmp_path / "gone", "--output", tmp_path / "out")

    assert code == 3
    assert [line for line in printed.splitlines() if "error" in line] == [
        f"nativedl: error: {tmp_path / 'gone'}: is not a folder"
    ]
    assert "Traceback" not in printed


def test_help_does_not_leave_slicer_waiting(slicer):
    code, printed = slicer("--", "--help")

    assert code == 0
    assert "--scheduler ADDRESS" in printed


def test_slicer_takes_the_script_for_a_module_that_stays_hidden(tmp_path):
    # qSlicerAbstractModuleFactoryManager makes a module of every .py file of a module folder, by the class of its name.
    code = f"""
import sys, types
sys.modules |= {{"slicer": types.ModuleType("slicer"), "slicer.util": types.ModuleType("slicer.util")}}
sys.path.insert(0, {str(SCRIPT.parent)!r})
import NativeDLBatch
module = types.SimpleNamespace()
NativeDLBatch.NativeDLBatch(module)
print(module.hidden, module.widgetRepresentationCreationEnabled)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.stdout == "True False\n", ended.stderr


def test_neither_script_nor_command_needs_a_runtime(tmp_path):
    code = f"""
import runpy, sys, types
for name in ("torch", "onnxruntime", "nnunetv2", "distributed"):
    sys.modules[name] = None
slicer = types.ModuleType("slicer")
slicer.util = types.ModuleType("slicer.util")
slicer.util.exit = lambda code: print("exit", code)
sys.modules |= {{"slicer": slicer, "slicer.util": slicer.util}}
sys.argv = ["script", "--", "--input", {str(tmp_path / "gone")!r}, "--output", {str(tmp_path / "out")!r}]
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.stdout == "exit 3\n", ended.stderr
