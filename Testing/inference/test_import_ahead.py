"""What is imported beside the reading of a series, and what a command imports before it knows what it needs."""

import json
import os
import subprocess
import sys

import factories
import pytest
from conftest import ROOT

pytest.importorskip("nnunetv2")
import nnunet_folder

START = (
    "import sys, threading; from NativeDLLib.registry import load_models; from NativeDLLib.inference import engine;"
    "from NativeDLLib.registry.weights import Weights;"
)
END = """
[t.join() for t in threading.enumerate() if t.name == 'import ahead']
print(sorted({'torch', 'nnunetv2', 'onnxruntime', 'highdicom'} & sys.modules.keys()), sys.stdout is sys.__stdout__)
"""


def said_by(code, **environment):
    """Return what a Python process prints, which must be all that anyone prints in it."""
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return finished.stdout.splitlines()


def test_a_run_starts_without_what_only_some_runs_need():
    heavy = "{'torch', 'nnunetv2', 'onnxruntime', 'highdicom', 'pynetdicom', 'jsonschema', 'scipy', 'skimage'}"

    assert said_by(f"import sys, NativeDLLib.cli.run; print({heavy} & sys.modules.keys())") == ["set()"]


@pytest.mark.parametrize(
    ("runtime", "packages"), [("torch", ["torch"]), ("onnx", ["onnxruntime"]), ("nnunetv2", ["nnunetv2", "torch"])]
)
def test_what_runs_a_model_and_writes_its_result_is_imported_without_a_word(runtime, packages):
    code = f"{START} engine.import_ahead(type('Model', (), {{'runtime': '{runtime}'}}), 'auto'){END}"

    assert said_by(code) == [f"{sorted([*packages, 'highdicom'])} True"]


def test_nnu_net_is_loaded_while_it_is_imported_and_stdout_stays(tmp_path):
    folder = nnunet_folder.write(tmp_path / "results")
    entry = factories.entry(
        runtime="nnunetv2",
        weights={"folder": folder.name},
        input={"modality": "CT", "channels": [{"name": "CT"}]},
        sliding_window={},
        postprocessing=[],
        parameters=[],
    )
    entry["output"].pop("channels")
    (tmp_path / "registry.json").write_text(json.dumps({"schema_version": "1.0", "models": [entry]}))
    start = f"{START} model = load_models()['bright']; engine.import_ahead(model, 'cpu');"

    said = said_by(
        f"{start} engine.load_engine(model, Weights(model), 'cpu'){END}",
        NATIVEDL_REGISTRY=str(tmp_path / "registry.json"),
        NATIVEDL_FORWARD="torch",
    )

    assert said == ["['highdicom', 'nnunetv2', 'torch'] True"]


def test_a_series_is_found_without_the_library_that_reads_its_voxels():
    code = "import sys, NativeDLLib.source, NativeDLLib.source.where; sys.exit('SimpleITK' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
