"""Installing packages asks, refuses and fails as in Slicer."""

import subprocess

import pytest


@pytest.fixture
def packaging(slicer_app):
    from slicer import packaging

    return packaging


def test_what_is_installed_is_not_asked_for(packaging, slicer_app):
    assert packaging.pip_check("numpy>=1.0 pydicom")
    assert not packaging.pip_check("numpy>=1000")
    packaging.pip_ensure(["numpy", "pydicom>=3"], requester="NativeDL")
    assert (slicer_app.popups.shown, slicer_app.installer.installed) == ([], [])


def test_what_is_missing_is_installed_on_consent(packaging, slicer_app):
    import qt

    slicer_app.installer.missing = {"pynetdicom"}
    slicer_app.popups.expect("NativeDL - Install Python Packages\n1 Python package needs", qt.QMessageBox.Ok)

    packaging.pip_ensure(["numpy", "pynetdicom>=3.0"], requester="NativeDL")

    assert slicer_app.installer.installed == [["pynetdicom>=3.0"]]
    assert packaging.pip_check("pynetdicom")


def test_a_refusal_installs_nothing_and_says_so(packaging, slicer_app):
    import qt

    slicer_app.installer.missing = {"pynetdicom"}
    slicer_app.popups.expect("Install Python Packages", qt.QMessageBox.Cancel)
    with pytest.raises(RuntimeError, match="declined"):
        packaging.pip_ensure("pynetdicom")
    assert slicer_app.installer.installed == []


def test_a_failure_shows_its_log_and_raises_without_it(packaging, slicer_app):
    import qt

    slicer_app.installer.missing, slicer_app.installer.fails = {"pynetdicom"}, True
    slicer_app.installer.log = ["ERROR: no route to host"]
    slicer_app.popups.expect("Package installation failed.", qt.QMessageBox.Ok)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        packaging.pip_ensure("pynetdicom", prompt_install=False)
    assert slicer_app.popups.shown[0].details == "ERROR: no route to host"
    assert caught.value.output is None
    assert not packaging.pip_check("pynetdicom")


def test_a_failure_without_progress_shows_nothing(packaging, slicer_app):
    slicer_app.installer.fails = True
    with pytest.raises(subprocess.CalledProcessError):
        slicer_app.slicer.util.pip_install("pynetdicom", show_progress=False)


def test_installing_in_the_background_calls_back(packaging, slicer_app):
    lines, codes = [], []
    packaging.pip_install("pynetdicom", blocking=False, logCallback=lines.append, completedCallback=codes.append)
    assert codes == []
    slicer_app.wait_until(lambda: codes)
    assert (lines, codes) == (["Collecting packages", "Done"], [0])


def test_requirements_come_from_the_projects_own_file(packaging):
    from pathlib import Path

    pyproject = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert "pydicom" in {requirement.name for requirement in packaging.load_pyproject_dependencies(pyproject)}


def test_torch_is_asked_for_and_may_be_refused(slicer_app):
    import qt
    from PyTorchUtils import PyTorchUtilsLogic

    slicer_app.installer.missing = {"torch"}
    assert not PyTorchUtilsLogic.torchInstalled()
    slicer_app.popups.expect("PyTorch will be downloaded", qt.QMessageBox.Cancel)
    assert PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=">=2.6") is None


def test_torch_that_does_not_install_raises(slicer_app):
    from PyTorchUtils import PyTorchUtilsLogic

    slicer_app.installer.missing, slicer_app.installer.fails = {"torch"}, True
    with pytest.raises(subprocess.CalledProcessError):
        PyTorchUtilsLogic().installTorch()
    assert slicer_app.installer.installed == [["torch", "torchvision"]]
