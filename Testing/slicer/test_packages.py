"""Installing packages reports and fails as in Slicer."""

import subprocess

import pytest


@pytest.fixture
def pip_ensure(slicer_app):
    from slicer.packaging import pip_ensure

    return lambda *requirements: pip_ensure(list(requirements), prompt_install=False, requester="NativeDL")


def test_what_is_installed_is_left_alone(pip_ensure, slicer_app):
    pip_ensure("numpy", "pydicom>=3")

    assert (slicer_app.popups.shown, slicer_app.installer.installed) == ([], [])


def test_what_is_missing_or_too_old_is_installed(pip_ensure, slicer_app):
    slicer_app.installer.missing = {"pynetdicom"}

    pip_ensure("numpy", "pynetdicom>=3.0", "pydicom>=1000")

    assert slicer_app.installer.installed == [["pynetdicom>=3.0", "pydicom>=1000"]]
    assert slicer_app.installer.missing == set()


def test_a_failure_shows_its_log_and_raises_without_it(pip_ensure, slicer_app):
    import qt

    slicer_app.installer.missing, slicer_app.installer.fails = {"pynetdicom"}, True
    slicer_app.installer.log = ["ERROR: no route to host"]
    slicer_app.popups.expect("Package installation failed.", qt.QMessageBox.Ok)

    with pytest.raises(subprocess.CalledProcessError) as caught:
        pip_ensure("pynetdicom")

    assert slicer_app.popups.shown[0].details == "ERROR: no route to host"
    assert caught.value.output is None
    assert slicer_app.installer.missing == {"pynetdicom"}


def test_torch_that_does_not_install_raises(slicer_app):
    from PyTorchUtils import PyTorchUtilsLogic

    slicer_app.installer.missing, slicer_app.installer.fails = {"torch"}, True
    with pytest.raises(subprocess.CalledProcessError):
        PyTorchUtilsLogic().installTorch()
    assert slicer_app.installer.installed == [["torch", "torchvision"]]
