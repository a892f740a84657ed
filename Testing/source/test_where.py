"""One series in each place that it can be in."""

import sqlite3

import factories
import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.demo.pacs_server import EmbeddedPacs
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.store import store_each
from NativeDLLib.results.report import ReportedSeries
from NativeDLLib.source import Series
from NativeDLLib.source.volume_file import ImageFile
from NativeDLLib.source.where import Where


@pytest.fixture
def peer(tmp_path, series):
    """A PACS that holds the series."""
    with EmbeddedPacs(tmp_path / "pacs") as server:
        peer = Peer("HERE", server.ae_title, "127.0.0.1", server.port)
        list(store_each(peer, sorted(series.iterdir())))
        yield peer


def database(folder, series):
    connection = sqlite3.connect(folder / "ctkDICOM.sql")
    connection.execute("CREATE TABLE Series (SeriesInstanceUID)")
    connection.execute("CREATE TABLE Images (SOPInstanceUID, SeriesInstanceUID, Filename)")
    uid = Series.read([series]).uid
    connection.executemany("INSERT INTO Images VALUES (?, ?, ?)", [(p.name, uid, str(p)) for p in series.iterdir()])
    connection.commit()
    connection.close()
    return folder


def file_list(folder, series):
    path = folder / "list.txt"
    path.write_text("\n".join(map(str, series.iterdir())))
    return path


def voxels(source):
    return sitk.GetArrayFromImage(source.image()[0])


def test_a_series_is_the_same_wherever_it_is(tmp_path, series, peer):
    given = Series.read([series])
    uids = {"study": given.text("StudyInstanceUID"), "series": given.uid}
    places = {
        "input": Where(inputs=(series,)),
        "files": Where(file_list=file_list(tmp_path, series)),
        "database": Where(database=database(tmp_path, series), series=given.uid),
        "peer": Where(peer=peer, **uids),
    }

    for kind, where in places.items():
        assert where.kinds == [kind]
        with where.open(Progress()) as opened:
            assert (opened.grid, opened.text("SeriesInstanceUID")) == (given.grid, given.uid)
            assert np.array_equal(voxels(opened), voxels(given))


def test_files_of_a_peer_live_as_long_as_the_block(series, peer):
    given = Series.read([series])
    progress = Progress()

    with Where(peer=peer, study=given.text("StudyInstanceUID"), series=given.uid).open_series(progress) as opened:
        files = [instance.path for instance in opened.instances]
        assert all(file.is_file() for file in files)

    assert not any(file.exists() for file in files)
    assert [stage.name for stage in progress.stages] == ["retrieve", "scan"]


def test_an_image_needs_a_modality_or_a_model(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(factories.block()), str(tmp_path / "image.nrrd"))

    with Where(image=tmp_path / "image.nrrd", modality="MR").open(Progress()) as opened:
        assert (type(opened), opened.text("Modality")) == (ImageFile, "MR")
    with (
        pytest.raises(UsageError, match="does not say its modality"),
        Where(image=tmp_path / "image.nrrd").open(Progress()),
    ):
        pass


@pytest.mark.parametrize("named", [(), ("inputs", "database"), ("file_list", "image"), ("peer", "inputs")])
def test_exactly_one_place_is_to_be_named(tmp_path, named):
    places = {"inputs": (tmp_path,), "peer": Peer("A", "A", "127.0.0.1", 1)}
    where = Where(**{name: places.get(name, tmp_path) for name in named})

    with pytest.raises(UsageError, match=r"^name one source$"):
        where.check()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Where(database="x"), "which series of the database is not said"),
        (Where(peer=Peer("A", "A", "127.0.0.1", 1), series="1.2"), "Study and Series Instance UID; both"),
    ],
)
def test_a_database_and_a_peer_hold_more_than_one_series(where, message):
    with pytest.raises(UsageError, match=message), where.open(Progress()):
        pass


def test_another_series_than_that_of_a_result_is_refused(tmp_path):
    where = Where(inputs=(tmp_path,), series="1.2.3")

    assert ReportedSeries("1.2", "1.2.3").within(where, "it").study == "1.2"
    with pytest.raises(InputError, match=r"^series 1\.2\.3: the result in x was made from series 1\.2\.4$"):
        ReportedSeries(None, "1.2.4").within(where, "the result in x")


def test_a_result_says_which_volume_of_the_series_it_was_made_from(tmp_path):
    made_from = ReportedSeries("1.2", "1.2.3", volume=["AcquisitionNumber=2"])

    assert made_from.within(Where(inputs=(tmp_path,)), "it").volume == ("AcquisitionNumber=2",)
    with pytest.raises(InputError, match=r"^AcquisitionNumber=1: it was made from the volume AcquisitionNumber=2$"):
        made_from.within(Where(inputs=(tmp_path,), volume=("AcquisitionNumber=1",)), "it")
