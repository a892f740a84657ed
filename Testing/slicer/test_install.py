"""What is missing in Slicer's Python, said with its size, installed only with consent, and what if that fails."""

import importlib.metadata
import json
import subprocess
import sys

import factories
import pytest

from Testing.slicer import panel as panels


@pytest.fixture
def lacking(slicer_app, monkeypatch):
    """Take packages away from Slicer's Python, until its installer brings them."""
    version = importlib.metadata.version

    def find(name):
        if name in slicer_app.installer.missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", find)
    return slicer_app.installer.missing


def test_nothing_runs_before_what_is_missing_was_installed_with_consent(slicer_app, lacking, tmp_path, pictures):
    import qt

    lacking |= {"torch", "onnxruntime", "pynetdicom"}
    slicer_app.series = panels.add(slicer_app, factories.ct_series(tmp_path / "series"))
    panel = panels.Panel(slicer_app)
    ui = panel.ui
    pictures(panel, "setup")
    assert not ui.setupSection.isHidden()
    assert "pynetdicom (finding, retrieving and storing on the PACS, about 2 MB)" in ui.setupLabel.text
    assert "onnxruntime (running ONNX models, about 24 MB)" in ui.setupLabel.text
    assert "torch (running PyTorch models, about 80 to 200 MB, 3 GB with CUDA)" in ui.setupLabel.text
    assert not ui.runButton.enabled
    panel.widget.enter()
    assert not panel.widget.logic.workers.running

    slicer_app.popups.expect("onnxruntime (running ONNX models", qt.QMessageBox.Cancel)
    ui.installButton.click()
    assert slicer_app.installer.installed == []
    assert not ui.setupSection.isHidden()

    slicer_app.popups.expect("onnxruntime (running ONNX models", qt.QMessageBox.Ok)
    ui.installButton.click()
    panel.settle()
    torch, others = slicer_app.installer.installed
    assert torch[0].startswith("torch>=")
    assert sorted(each.split(">")[0] for each in others if not each.startswith("-")) == ["onnxruntime", "pynetdicom"]
    assert ui.setupSection.isHidden()
    panel.choose_series("bright")
    assert ui.runButton.enabled


def test_a_failed_installation_shows_pips_last_lines_and_can_be_tried_again(slicer_app, lacking):
    import qt

    lacking.add("onnxruntime")
    slicer_app.installer.fails = True
    slicer_app.installer.log = ["Collecting onnxruntime", "ERROR: No space left on device"]
    panel = panels.Panel(slicer_app)
    slicer_app.popups.expect("onnxruntime", qt.QMessageBox.Ok)
    slicer_app.popups.expect("Package installation failed.", None)
    slicer_app.popups.expect("Slicer works as before", None)
    panel.ui.installButton.click()

    assert "No space left on device" in slicer_app.popups.shown[1].details
    assert not panel.ui.setupSection.isHidden()
    slicer_app.installer.fails = False
    slicer_app.popups.expect("onnxruntime", qt.QMessageBox.Ok)
    panel.ui.installButton.click()
    panel.settle()
    assert panel.ui.setupSection.isHidden()


def test_without_the_pytorch_extension_it_is_asked_for(slicer_app, lacking, monkeypatch):
    import qt

    lacking.add("torch")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    panel = panels.Panel(slicer_app)
    slicer_app.popups.expect("torch", qt.QMessageBox.Ok)
    slicer_app.popups.expect('Install the extension "PyTorch" in the Extensions Manager and start Slicer again.', None)
    panel.ui.installButton.click()

    assert slicer_app.installer.installed == []


def test_what_was_installed_by_other_means_is_found_by_check_again(slicer_app, lacking):
    lacking.add("onnxruntime")
    panel = panels.Panel(slicer_app)
    lacking.clear()
    panel.ui.setupRefreshButton.click()
    panel.settle()

    assert panel.ui.setupSection.isHidden()


def test_a_model_whose_runtime_is_missing_asks_for_it_and_the_others_run(slicer_app, lacking, tmp_path, monkeypatch):
    lacking.add("nnunetv2")
    # The worker's Python lacks it too.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'nnunetv2' else find(name, *a)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    registry = factories.registry(tmp_path / "registry")
    for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
        (registry.parent / "nn" / name).parent.mkdir(parents=True, exist_ok=True)
        (registry.parent / "nn" / name).write_text("{}")
    models = json.loads(registry.read_text())
    models["models"].append(factories.entry(id="nn", title="nnU-Net", runtime="nnunetv2", weights={"folder": "nn"}))
    registry.write_text(json.dumps(models))
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry))
    panels.add(slicer_app, factories.ct_series(tmp_path / "series"))
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")
    assert panel.ui.setupSection.isHidden()

    panel.choose_model("nn")
    assert not panel.ui.setupSection.isHidden()
    assert "nnunetv2 (running nnU-Net models, about 113 MB)" in panel.ui.setupLabel.text
    assert not panel.ui.runButton.enabled
    assert panel.widget.model.current["id"] == "nn"

    panel.choose_model("bright")
    assert panel.run() == "Finished: review the result below."


def test_loading_the_module_imports_and_installs_nothing_heavy(slicer_app, lacking):
    lacking |= {"torch", "onnxruntime", "pynetdicom", "jsonschema"}
    panels.Panel(slicer_app)

    assert slicer_app.installer.installed == []
    code = (
        "import sys; sys.path[:0] = ['NativeDL', '.']\n"
        "from Testing.slicer.standin.install import install\n"
        "install()\n"
        "import NativeDL\n"
        "print(sorted({'torch', 'onnxruntime', 'nnunetv2', 'pynetdicom', 'highdicom'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=panels.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
