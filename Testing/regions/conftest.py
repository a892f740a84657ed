"""Shapes on the slices of a series."""

import factories
import numpy as np
import pytest
from drawing import WAYS, Drawn, shapes
from reviewed import _result, accepted, reviewed

from NativeDLLib.source import Series

__all__ = ["_result", "accepted", "reviewed"]


@pytest.fixture(params=WAYS)
def drawn(request, tmp_path):
    labels = shapes()
    files = tmp_path / "series"
    factories.ct_series(files, np.zeros(labels.shape, int), axes=WAYS[request.param], spacing=(0.8, 1.1, 2.5))
    return Drawn(files, Series.read([files]), labels)


@pytest.fixture
def axial(tmp_path):
    labels = shapes()
    files = tmp_path / "series"
    factories.ct_series(files, np.zeros(labels.shape, int), spacing=(0.8, 1.1, 2.5))
    return Drawn(files, Series.read([files]), labels)
