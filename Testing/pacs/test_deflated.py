"""Objects that inflate to more than memory holds: sending and receiving read their headers and no more."""

import tracemalloc

import factories
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.identity import read_identity
from NativeDLLib.pacs.inbox import Inbox


@pytest.fixture
def bomb(tmp_path):
    files = factories.ct_series(tmp_path)
    factories.deflate(files[0], lambda content: content + bytes(300 * 2**20))
    tracemalloc.start()
    yield files[0]
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_its_header_is_read_for_sending(bomb):
    header = read_identity(bomb)

    assert header.transfer_syntax_uid == DeflatedExplicitVRLittleEndian
    assert header.study_uid == pydicom.dcmread(bomb.with_name("IM0002")).StudyInstanceUID


def test_it_is_received(bomb, tmp_path):
    other = pydicom.dcmread(bomb.with_name("IM0002"))
    with Inbox(tmp_path / "in", other.StudyInstanceUID, other.SeriesInstanceUID, None, Progress()) as inbox:
        assert inbox.take(bomb.read_bytes()) == 0
