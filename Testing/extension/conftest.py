"""The extension, installed once for all tests of this folder."""

import pytest
from installed import ROOT, SCRIPTED_MODULES, cmake, configure


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    configure(ROOT, folder)
    cmake("--build", folder)
    return folder


@pytest.fixture(scope="session")
def prefix(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("install")
    cmake("--install", build, "--prefix", folder)
    return folder


@pytest.fixture(scope="session")
def modules(prefix):
    """The folder in which Slicer finds the installed module."""
    return prefix / SCRIPTED_MODULES
