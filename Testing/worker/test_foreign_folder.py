"""Whatever starts a process of this library, nothing in the folder that it was started in is imported."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib

import factories
import pytest
import requests
from conftest import ROOT
from hostile import HostileFolder

from NativeDLLib.worker.processes import environment, python_command, spare_command, spare_line, worker_command


@pytest.fixture
def script(tmp_path):
    """The command ``nativedl`` as pip installs it, in a folder of its own."""
    module, name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["nativedl"].split(":")
    path = tmp_path / "bin" / "nativedl"
    path.parent.mkdir()
    path.write_text(f"import sys\nfrom {module} import {name}\nif __name__ == '__main__':\n    sys.exit({name}())\n")
    return [sys.executable, path]


@pytest.fixture
def hostile(tmp_path):
    return HostileFolder(tmp_path / "hostile")


@pytest.fixture
def run(hostile, registry):
    """Run a command in the hostile folder and return its exit code and what it printed."""

    def start(command, stdin=b"", **variables):
        surroundings = os.environ | {"NATIVEDL_REGISTRY": str(registry)} | variables
        ended = subprocess.run(
            command, cwd=hostile.path, env=surroundings, input=stdin, capture_output=True, check=False
        )
        return ended.returncode, (ended.stdout + ended.stderr).decode()

    return start


def test_the_folder_is_one_in_which_python_imports_what_lies_there(hostile, run):
    assert run([sys.executable, "-c", "import pydicom"])[0] == 99
    assert hostile.ran


def test_the_script_nativedl_imports_nothing_of_it(hostile, run, script, series, tmp_path):
    code, printed = run([*script, "run", "--input", series, "--output", tmp_path / "out"])

    assert code == 0, printed
    assert not hostile.ran


def test_the_jobs_of_a_batch_import_nothing_of_it(hostile, run, script, tmp_path):
    for case in range(2):
        factories.ct_series(tmp_path / "cohort" / f"case{case}")

    code, printed = run([*script, "batch", "--input", tmp_path / "cohort", "--output", tmp_path / "out"])

    assert code == 0, printed
    assert len(list((tmp_path / "out").glob("*/report.json"))) == 2
    assert not hostile.ran


def test_the_jobs_of_a_batch_in_slicer_import_nothing_of_it(hostile, run, series, tmp_path):
    stand_in = tmp_path / "python" / "slicer"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").touch()
    (stand_in / "util.py").write_text("import os\nexit = os._exit\n")
    script = ROOT / "NativeDL" / "NativeDLBatch.py"

    # Slicer's own search path is Slicer's affair; its interpreter never had this folder in it.
    code, printed = run(
        [sys.executable, "-P", script, "--", "--input", series.parent / "series", "--output", tmp_path / "out"],
        PYTHONPATH=str(tmp_path / "python"),
    )

    assert code == 0, printed
    assert not hostile.ran


def test_the_jobs_of_a_service_import_nothing_of_it(hostile, registry, series, tmp_path):
    command = python_command("serve", "--events", "--with-parent", "--port", "0", "--device", "cpu")
    surroundings = environment() | {"NATIVEDL_REGISTRY": str(registry)}
    process = subprocess.Popen(
        command, cwd=hostile.path, env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            listening = json.loads(next(line for line in process.stdout if '"listening"' in line))
            files = [("files", path.open("rb")) for path in sorted(series.iterdir())]
            session = requests.Session()
            session.trust_env = False
            answer = session.post(f"{listening['url']}/predict?model=bright", files=files)
        finally:
            process.kill()

    assert answer.status_code == 200, answer.text
    assert not hostile.ran


def test_the_panels_worker_imports_nothing_of_it(hostile, run, series, tmp_path):
    program, arguments, _ = worker_command(["inspect", "--input", series])

    code, printed = run([program, *arguments])

    # Its standard input is closed, which is what cancels it, at the earliest when all has been imported.
    assert code in (0, 6), printed
    assert not hostile.ran


def test_the_panels_spare_imports_nothing_of_it(hostile, run, series, tmp_path):
    program, arguments, _ = spare_command("bright")

    code, printed = run([program, *arguments], spare_line(["inspect", "--input", series]))

    assert code in (0, 6), printed
    assert not hostile.ran


def test_the_conversion_of_a_network_imports_nothing_of_it(hostile, run, script, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 1, activation="softmax")])
    network.save(tmp_path / "net.keras")

    code, printed = run([*script, "models", "add", tmp_path / "net.keras", "--template", tmp_path / "answers.json"])

    assert code == 0, printed
    assert (tmp_path / "answers.json").exists()
    assert not hostile.ran


def test_an_empty_entry_of_the_search_path_is_not_handed_on(hostile, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(tmp_path), ""]))
    started = [sys.executable, "-c", "import sys, pydicom; print(sys.path)"]

    child = subprocess.run(started, cwd=hostile.path, env=environment(), capture_output=True, text=True, check=False)

    assert child.returncode == 0, child.stderr
    assert str(tmp_path) in child.stdout
    assert not hostile.ran


def test_what_lies_beside_the_library_is_not_imported_either(hostile, run, series):
    # As in Slicer, where the modules of all extensions lie in one folder.
    shutil.rmtree(hostile.path / "NativeDLLib")
    shutil.copytree(ROOT / "NativeDLLib", hostile.path / "NativeDLLib")
    shutil.copytree(ROOT / "Resources", hostile.path / "Resources")
    program, _, *arguments = python_command("inspect", "--input", series)
    command = [program, "-P", hostile.path / "NativeDLLib" / "__main__.py", *arguments[1:]]

    code, printed = run(command)

    assert code == 0, printed
    assert not hostile.ran


def test_a_python_of_slicer_in_the_current_folder_is_not_started(hostile, monkeypatch):
    program = hostile.path / "PythonSlicer"
    program.write_text("#!/bin/sh\nexit 99\n")
    program.chmod(0o755)
    monkeypatch.chdir(hostile.path)
    monkeypatch.setenv("PATH", os.pathsep + os.environ["PATH"])

    assert worker_command([])[0] != "PythonSlicer"
    assert os.path.isabs(worker_command([])[0])


def test_no_other_file_builds_a_command_line_of_python():
    files = [*(ROOT / "NativeDLLib").rglob("*.py"), *(ROOT / "NativeDL").rglob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix()
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in ("executable", "_base_executable", "run_module"))
        # Its children find their modules in the folder that they start in.
        or (isinstance(node, ast.Import | ast.ImportFrom) and "multiprocessing" in ast.unparse(node))
    }

    # Slicer is its own interpreter; its script says which Python stands in for that.
    assert found == {"NativeDLLib/worker/processes.py", "NativeDL/NativeDLBatch.py"}
