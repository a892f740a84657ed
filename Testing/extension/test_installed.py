"""What CMake installs is the whole extension, nothing but it, and works from there."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
from installed import ROOT, SITE_PACKAGES, configure, python

from NativeDLLib import __version__

# Answers to any name with a class, which is enough to import a module that is written for Slicer.
STAND_INS = """
import importlib.abc, importlib.machinery, types

class Anything(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        methods = {"__init__": lambda self, *given, **named: None, "__call__": lambda self, given=None: given}
        return Anything(name, (), methods)

class Application(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("slicer", "qt", "ctk", "vtk", "numpy", "MRMLCorePython"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__all__ = ["ScriptedLoadableModule" + part for part in ("", "Widget", "Logic", "Test")]
        module.__getattr__ = lambda name: getattr(Anything(spec.name, (), {}), name)
        return module

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Application())
"""


def relative(folder, *patterns):
    return {str(path.relative_to(folder)) for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}


def run(code, paths, cwd):
    finished = python(code, paths, cwd)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_every_script_and_every_data_file_is_installed_and_nothing_else(modules):
    resources = {f"Resources/{name}" for name in relative(ROOT / "Resources", "*")}

    assert relative(modules, "*") == {
        *relative(ROOT / "NativeDL", "*.py"),
        *(f"NativeDLLib/{name}" for name in relative(ROOT / "NativeDLLib", "*.py")),
        *(name for name in resources if not name.startswith("Resources/Screenshots/")),
        "NativeDLLib/pyproject.toml",
    }


def test_cmake_lists_each_script_of_the_module():
    """Slicer's macro takes no folders; a file that is not listed would be missing in the extension."""
    text = (ROOT / "NativeDL" / "CMakeLists.txt").read_text()
    scripts = re.search(r"set\(MODULE_PYTHON_SCRIPTS\s(.*?)\)", text, re.DOTALL)[1]

    listed = scripts.replace("${MODULE_NAME}", "NativeDL").split()

    assert sorted(listed) == sorted(relative(ROOT / "NativeDL", "*.py"))


def test_the_files_are_those_of_the_checkout(modules):
    for name in relative(modules, "*"):
        top = name.split("/")[0]
        folder = {"NativeDLLib": ROOT, "Resources": ROOT}.get(top, ROOT / "NativeDL")
        original = ROOT / "pyproject.toml" if name.endswith("pyproject.toml") else folder / name
        assert (modules / name).read_bytes() == original.read_bytes(), name


def test_every_installed_script_is_python(modules):
    for name in relative(modules, "*.py"):
        compile((modules / name).read_text(encoding="utf-8"), name, "exec")


def test_every_script_that_slicer_takes_for_a_module_is_one(modules):
    """Slicer runs each script of that folder at its start and complains where it has no class of the file's name."""
    for script in modules.glob("*.py"):
        classes = {node.name for node in ast.parse(script.read_text()).body if isinstance(node, ast.ClassDef)}
        assert script.stem in classes, script.name


def test_the_library_and_its_list_of_requirements_need_no_package_but_packaging(modules, tmp_path):
    (tmp_path / "packaging").symlink_to(SITE_PACKAGES / "packaging")
    code = """
import NativeDLLib
from NativeDLLib.panel.requirements import missing, project_file
print(NativeDLLib.__version__, NativeDLLib.__file__, project_file(), missing()[0].specifier, sep="\\n")
"""

    version, file, project, first = run(code, [modules, tmp_path], tmp_path).splitlines()

    assert version == __version__
    assert Path(file).parent == modules / "NativeDLLib"
    assert Path(project) == modules / "NativeDLLib" / "pyproject.toml"
    assert first == "numpy>=1.26"


def test_the_bundled_models_are_found_with_their_weights(modules, tmp_path):
    code = """
from NativeDLLib.registry import load_models
from NativeDLLib.registry.weights import verified_weights
for model in load_models().values():
    if not model.weights.url:
        print(model.id, verified_weights(model)[0])
"""

    lines = run(code, [modules, SITE_PACKAGES], tmp_path).splitlines()

    found = dict(line.split(" ", 1) for line in lines)
    assert {"liver-ct-demo", "vertebra-ct-demo"} <= set(found)
    assert {Path(weights).parent for weights in found.values()} == {modules / "Resources" / "models"}


def test_the_command_line_works_from_there(modules, tmp_path):
    code = """
import runpy
sys.argv = ["nativedl", "models", "list", "--events"]
runpy.run_module("NativeDLLib", run_name="__main__", alter_sys=True)
"""

    listed = json.loads(run(code, [modules, SITE_PACKAGES], tmp_path))["models"]

    assert {Path(model["registry"]) for model in listed} == {modules / "Resources" / "registry.json"}


def test_the_modules_file_is_imported_without_any_package_that_slicer_lacks(modules, tmp_path):
    (tmp_path / "packaging").symlink_to(SITE_PACKAGES / "packaging")
    code = f"{STAND_INS}\nimport NativeDL\nprint(NativeDL.NativeDL.__name__, NativeDL.NativeDLWidget.__name__)"

    assert run(code, [modules, tmp_path], tmp_path).split() == ["NativeDL", "NativeDLWidget"]


def test_slicer_runs_the_self_test(build):
    finished = subprocess.run(["/usr/bin/ctest", "-N"], cwd=build, capture_output=True, text=True, check=True)

    assert {"py_NativeDL", "py_nomainwindow_qSlicerNativeDLModuleGenericTest"} <= set(finished.stdout.split())


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("${MODULE_NAME}.py", "${MODULE_NAME}.py NativeDLPanel/none.py", "nonexistent file or directory"),
        ("NAME ${MODULE_NAME}", "NAME ${MODULE_NAME} ICON", "Unknown keywords given"),
    ],
)
def test_the_build_is_as_strict_as_slicers(tmp_path, right, wrong, message):
    """As strict as the macros that the extension meets in Slicer, so that what builds here builds there."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("CMakeLists.txt", "NativeDLLib", "Resources", "pyproject.toml", "README.md", "LICENSE.txt"):
        (source / name).symlink_to(ROOT / name)
    (source / "NativeDL").mkdir()
    for file in (ROOT / "NativeDL").iterdir():
        (source / "NativeDL" / file.name).symlink_to(file)
    listed = source / "NativeDL" / "CMakeLists.txt"
    listed.unlink()
    listed.write_text((ROOT / "NativeDL" / "CMakeLists.txt").read_text().replace(right, wrong, 1))

    with pytest.raises(AssertionError) as caught:
        configure(source, tmp_path / "build")

    assert message in " ".join(str(caught.value).split())
