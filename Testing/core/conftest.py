"""A registry with a working network, and a series that it fits."""

import factories
import pytest


@pytest.fixture
def registry(tmp_path):
    return factories.registry(tmp_path / "registry")


@pytest.fixture
def series(tmp_path):
    factories.ct_series(tmp_path / "series")
    return tmp_path / "series"
