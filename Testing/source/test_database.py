import shutil
import sqlite3

import pydicom
import pytest

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series
from NativeDLLib.source.database import series_files


@pytest.fixture
def real(real_data):
    return real_data / "slicer_dicom_database"


def abdomen(real_data):
    return str(pydicom.dcmread(real_data / "upper_abdomen_ct_dicom" / "01.dcm").SeriesInstanceUID)


def state(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("name", ["ctkDICOM.sql", ""], ids=["file", "folder"])
def test_a_series_of_the_real_database_is_found(real, real_data, name):
    files = series_files(real / name, abdomen(real_data))

    assert len(files) == 20
    assert Series.read(files).grid.size == (512, 512, 20)


def test_the_real_database_is_never_written_to(real, real_data):
    before = state(real)

    Series.read(series_files(real, abdomen(real_data)))

    assert state(real) == before


def test_an_unknown_series_is_answered_with_those_there_are(real, real_data):
    with pytest.raises(InputError, match=r"holds no series 1\.2\.3; it holds ") as caught:
        series_files(real, "1.2.3")

    assert abdomen(real_data) in str(caught.value)


def test_a_file_that_is_gone_is_named(real, real_data, tmp_path):
    copy = shutil.copytree(real, tmp_path / "copy", copy_function=shutil.copyfile)
    gone = series_files(copy, abdomen(real_data))[7]
    gone.unlink()

    with pytest.raises(InputError, match=rf"1 of 20 files of series .* are gone, first {gone}"):
        series_files(copy, abdomen(real_data))


def database(folder, *names):
    connection = sqlite3.connect(folder / "ctkDICOM.sql")
    connection.execute("CREATE TABLE Series (SeriesInstanceUID)")
    connection.execute("CREATE TABLE Images (SOPInstanceUID, SeriesInstanceUID, Filename)")
    connection.execute("INSERT INTO Series VALUES ('1.2')")
    connection.executemany("INSERT INTO Images VALUES (?, '1.2', ?)", enumerate(names))
    connection.commit()
    connection.close()
    return folder / "ctkDICOM.sql"


def test_files_that_were_only_indexed_are_found_by_their_full_path(tmp_path):
    outside = tmp_path / "elsewhere" / "1.dcm"
    outside.parent.mkdir()
    outside.touch()
    (tmp_path / "here?").mkdir()
    (tmp_path / "here?" / "2.dcm").touch()

    files = series_files(database(tmp_path / "here?", str(outside), "2.dcm"), "1.2")

    assert files == [outside, tmp_path / "here?" / "2.dcm"]


@pytest.mark.parametrize("name", [None, "", 7, b"\xff"])
def test_an_instance_without_a_file_is_not_left_out(tmp_path, name):
    (tmp_path / "1.dcm").touch()

    with pytest.raises(InputError, match=r"1 of 2 files of series 1\.2 are gone"):
        series_files(database(tmp_path, "1.dcm", name), "1.2")


def test_a_database_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path / 'ctkDICOM.sql'}: does not exist"):
        series_files(tmp_path, "1.2")


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look like one" * 20])
def test_what_is_no_database_of_slicer_is_named(tmp_path, content):
    path = tmp_path / "ctkDICOM.sql"
    path.write_bytes(content)

    with pytest.raises(
        InputError, match=f"^{path}: is not a DICOM database of Slicer, or one that is damaged or must not be read$"
    ):
        series_files(path, "1.2")
    assert path.read_bytes() == content
