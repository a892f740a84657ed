"""What is missing in an interpreter, judged in made-up ones: folders of package metadata as pip leaves them."""

import subprocess
import sys
from pathlib import Path

import packaging
import pytest

from NativeDLLib.panel import requirements
from NativeDLLib.panel.requirements import Requirement, missing, plan
from NativeDLLib.registry.runtimes import RUNTIMES

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = {
    "numpy": "2.4.0", "pydicom": "3.0.2", "highdicom": "0.28.2", "SimpleITK": "2.5.0",
    "scikit-image": "0.26.0", "python-gdcm": "3.2.6",
    "pylibjpeg": "2.1.0", "pylibjpeg-openjpeg": "2.6.0", "pynetdicom": "3.0.4", "dicomweb-client": "0.61.2",
    "requests": "2.34.2", "filelock": "4.3.1", "jsonschema": "4.26.0", "packaging": "26.3", "Pillow": "13.0.0",
    "psutil": "7.2.2", "threadpoolctl": "3.8.0", "tqdm": "4.70.1",
}  # fmt: skip


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """Make this interpreter one that has nothing but what is named."""

    def make(packages=EVERYTHING):
        for name, version in packages.items():
            folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        for name in ("numpy", "scipy", "SimpleITK", "vtk", "pydicom", "highdicom", "requests"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    return make


def without(name):
    return {other: version for other, version in EVERYTHING.items() if other != name}


def names(found):
    return [requirement.name for requirement in found]


def test_nothing_is_missing_where_everything_is(interpreter):
    interpreter()

    assert missing() == []


def test_a_bare_interpreter_misses_the_base_list_in_the_order_of_pyproject(interpreter):
    interpreter({})

    assert names(missing()) == list(EVERYTHING)


def test_what_is_missing_is_told_with_what_pip_takes_its_size_and_its_purpose(interpreter):
    interpreter(without("pynetdicom"))

    (found,) = missing()

    assert found.specifier == "pynetdicom>=3.0"
    assert found.size == "about 2 MB"
    assert found.purpose == "finding, retrieving and storing on the PACS"
    assert not found.via_pytorch_extension


@pytest.mark.parametrize(("version", "lacks"), [("2.4.4", True), ("3.0.0", False), ("3.1.0rc1", False), ("4.0", False)])
def test_a_package_that_is_too_old_is_missing(interpreter, version, lacks):
    interpreter({**EVERYTHING, "pydicom": version})

    assert names(missing()) == (["pydicom"] if lacks else [])


@pytest.mark.parametrize("version", ["2.5.0rc2.dev368", "2.5.0rc2.dev368-g1c5f1"])
def test_a_build_of_slicers_own_is_never_asked_to_be_replaced(interpreter, version):
    interpreter({**EVERYTHING, "SimpleITK": version})

    assert missing() == []


def test_a_part_of_slicer_without_pips_metadata_is_there(interpreter):
    folder = interpreter(without("SimpleITK"))
    (folder / "SimpleITK").mkdir()
    (folder / "SimpleITK" / "__init__.py").touch()

    assert missing() == []


def test_an_installation_that_was_broken_off_is_missing(interpreter):
    folder = interpreter(without("tqdm"))
    (folder / "tqdm-4.70.1.dist-info").mkdir()

    assert names(missing()) == ["tqdm"]


def test_a_package_installed_a_moment_ago_is_seen(interpreter):
    interpreter(without("tqdm"))
    assert names(missing()) == ["tqdm"]

    interpreter({"tqdm": "4.70.1"})

    assert missing() == []


@pytest.mark.parametrize(
    ("runtime", "specifiers"),
    [
        ("torch", ["torch>=2.6"]),
        ("onnx", ["onnxruntime>=1.20"]),
        ("nnunetv2", ["onnxruntime>=1.20", "torch>=2.6", "onnx>=1.17", "onnxscript>=0.2", "nnunetv2>=2.5"]),
    ],
)
def test_each_runtime_asks_for_its_packages_and_no_others(interpreter, runtime, specifiers):
    interpreter()

    assert [found.specifier for found in missing([RUNTIMES[runtime].extra])] == specifiers


def test_torch_alone_comes_through_the_pytorch_extension(interpreter):
    interpreter({})

    assert [found.name for found in missing(["torch", "onnx", "nnunet"]) if found.via_pytorch_extension] == ["torch"]


def test_extras_within_extras_are_resolved_and_named_once(interpreter):
    interpreter()

    assert names(missing(["torch", "train"])) == [
        "torch",
        "onnxruntime",
        "onnx",
        "onnxscript",
        "dynamic-network-architectures",
        "scipy",
    ]


def test_an_extra_that_is_not_there_is_a_mistake():
    with pytest.raises(KeyError, match="pytorch"):
        missing(["pytorch"])


def test_the_gpu_build_of_onnxruntime_is_onnxruntime(interpreter):
    interpreter({**EVERYTHING, "onnxruntime-gpu": "1.31.1"})

    assert missing(["onnx"]) == []


def test_everything_that_slicer_may_install_says_how_large_it_is_and_what_for(interpreter):
    interpreter({})

    for found in missing(["torch", "onnx", "nnunet", "dask"]):
        assert found.size.startswith("about "), found
        assert found.purpose != "developing NativeDL", found


def test_torch_and_what_slicer_brings_is_left_alone(interpreter):
    interpreter({**EVERYTHING, "scipy": "1.17"})

    assert plan(missing(["nnunet"]))[2] == [
        "torch", "torchvision", "torchaudio",
        "numpy", "scipy", "SimpleITK", "pydicom", "highdicom", "Pillow", "requests", "dicomweb-client",
    ]  # fmt: skip


def test_what_an_older_slicer_lacks_may_be_installed(interpreter):
    interpreter({**without("highdicom"), "pydicom": "2.4.4"})

    wanted = missing()

    assert names(wanted) == ["pydicom", "highdicom"]
    assert not {"pydicom", "highdicom", "scipy"} & set(plan(wanted)[2])


def test_the_plan_gives_torch_to_its_extension_and_the_rest_to_pip(interpreter):
    interpreter({**without("tqdm"), "scipy": "1.17"})

    torch, names, kept = plan(missing(["nnunet", "torch"]))

    assert torch == ">=2.6"
    assert names == ["tqdm>=4.66", "onnxruntime>=1.20", "onnx>=1.17", "onnxscript>=0.2", "nnunetv2>=2.5"]
    assert kept[:5] == ["torch", "torchvision", "torchaudio", "numpy", "scipy"]


def test_where_torch_is_there_its_extension_is_not_asked(interpreter):
    interpreter({**without("tqdm"), "torch": "2.13.0"})

    assert plan(missing(["torch"]))[:2] == (None, ["tqdm>=4.66"])


def test_where_nothing_is_missing_nothing_is_planned(interpreter):
    interpreter()

    torch, names, kept = plan(missing())

    assert (torch, names) == (None, [])
    assert set(kept) >= {"torch", "numpy", "SimpleITK"}


def test_what_torch_runs_on_is_said_without_a_word_that_pip_would_stumble_over():
    torch = Requirement("torch", 'torch>=2.6,<3; python_version >= "3"', "", "", via_pytorch_extension=True)

    assert plan([torch])[0] == "<3,>=2.6"


def test_the_file_needs_nothing_but_python_and_packaging(tmp_path):
    (tmp_path / "packaging").symlink_to(Path(packaging.__file__).parent)
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "from NativeDLLib.panel.requirements import missing\n"
        "print(*(found.name for found in missing()))"
    )

    finished = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)

    # The metadata of packaging is not in that folder, so it counts as missing too.
    assert finished.stdout.split() == list(EVERYTHING)


def test_the_list_is_read_from_the_projects_own_file():
    assert requirements.project_file() == ROOT / "pyproject.toml"


def test_what_is_for_another_system_is_not_missing(interpreter, tmp_path, monkeypatch):
    interpreter({})
    project = tmp_path / "pyproject.toml"
    project.write_text(
        "[project]\nname = 'x'\ndependencies = ['a; sys_platform == \"none\"', 'b>=1; python_version >= \"3\"']\n"
        "optional-dependencies = {}\n[tool.nativedl.packages]\n"
    )
    monkeypatch.setattr(requirements, "project_file", lambda: project)

    assert names(missing()) == ["b"]
