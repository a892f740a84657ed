"""Small series for the tests of everything that stores or retrieves."""

import pytest
from factories import block, ct_series
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from NativeDLLib.core.progress import Progress


@pytest.fixture
def progress():
    return Progress()


@pytest.fixture(scope="session")
def make_series():
    """Write a series of `count` small CT slices; attributes are set by keyword."""

    def make(folder, count=3, syntax=ExplicitVRLittleEndian, **attributes):
        patient = f"P{generate_uid()[-12:]}"

        def edit(dataset, _):
            for keyword, value in ({"PatientID": patient} | attributes).items():
                setattr(dataset, keyword, value)

        return ct_series(folder, block((count, 64, 64)), syntax=syntax, edit=edit)

    return make
