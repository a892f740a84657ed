"""Retrieval from peers that send less than, more than or other than what was asked for."""

import copy

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, RTImageStorage, SecondaryCaptureImageStorage
from pynetdicom import build_context

from NativeDLLib.core.errors import CancelledError, PacsError
from NativeDLLib.pacs.association import inventory
from NativeDLLib.pacs.inbox import Inbox, is_uid
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.retrieve import retrieve, storage_proposal


@pytest.fixture
def series(make_series, tmp_path):
    return [dcmread(file) for file in make_series(tmp_path / "series", 3)]


def lists(datasets):
    """Answer C-FIND with the instances of the data sets."""

    def on_find(event):
        for dataset in datasets:
            answer = Dataset()
            for element in event.identifier:
                answer[element.tag] = dataset.get(element.tag, element)
            yield 0xFF00, answer

    return on_find


def refuses(status):
    def on_find(_):
        yield status, None

    return on_find


def sends(datasets, announced=None):
    def on_get(_):
        yield len(datasets) if announced is None else announced
        for dataset in datasets:
            yield 0xFF00, dataset

    return on_get


def fetch(peer, one, folder, progress):
    return retrieve(peer, one.StudyInstanceUID, one.SeriesInstanceUID, folder, progress)


def test_a_peer_that_cannot_list_instances_is_asked_for_the_usual_classes(scripted, series, tmp_path, progress):
    with scripted(find=refuses(0xA900), get=sends(series)) as peer:
        assert inventory(peer, series[0].StudyInstanceUID, series[0].SeriesInstanceUID) is None
        assert len(fetch(peer, series[0], tmp_path / "back", progress)) == 3


def test_a_series_of_a_rare_class_is_asked_for_by_what_the_peer_lists(scripted, series, tmp_path, progress):
    for dataset in series:
        dataset.SOPClassUID = RTImageStorage
    contexts = [build_context(RTImageStorage)]
    with scripted(find=lists(series), get=sends(series), contexts=contexts) as peer:
        assert len(fetch(peer, series[0], tmp_path / "back", progress)) == 3


def test_an_instance_that_the_peer_lists_and_does_not_send_is_missed(scripted, series, tmp_path, progress):
    with (
        scripted(find=lists(series), get=sends(series[:2])) as peer,
        pytest.raises(PacsError, match=f"sent 2 of the 3 instances .* {series[2].SOPInstanceUID} is missing"),
    ):
        fetch(peer, series[0], tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_an_instance_of_another_series_is_refused(scripted, series, tmp_path, progress):
    asked_for = series[0].SeriesInstanceUID
    series[2].SeriesInstanceUID = "1.2.3"
    with scripted(find=refuses(0xA900), get=sends(series)) as peer, pytest.raises(PacsError, match=r"series 1\.2\.3"):
        retrieve(peer, series[0].StudyInstanceUID, asked_for, tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_a_failed_sub_operation_is_counted(scripted, series, tmp_path, progress):
    contexts = [build_context(CTImageStorage)]
    series[1].SOPClassUID = SecondaryCaptureImageStorage
    with (
        scripted(find=refuses(0xC001), get=sends(series), contexts=contexts) as peer,
        pytest.raises(PacsError, match="completed 2 sub-operations of the C-GET, 1 failed and 0 gave a warning"),
    ):
        fetch(peer, series[0], tmp_path / "back", progress)


@pytest.mark.parametrize(("status", "words"), [(0xA701, "cannot count the matches"), (0xC123, "cannot process")])
def test_a_refused_retrieval_is_said_in_words(scripted, series, tmp_path, progress, status, words):
    def on_get(_):
        yield 1
        failed = Dataset()
        failed.FailedSOPInstanceUIDList = []
        yield status, failed

    with scripted(find=lists(series), get=on_get) as peer, pytest.raises(PacsError, match=words):
        fetch(peer, series[0], tmp_path / "back", progress)


def test_an_association_that_ends_amid_a_retrieval_is_an_error(scripted, series, tmp_path, progress):
    def on_get(event):
        yield 3
        yield 0xFF00, series[0]
        event.assoc.abort()
        yield 0xFF00, series[1]

    with scripted(find=lists(series), get=on_get) as peer, pytest.raises(PacsError, match="did not answer the C-GET"):
        fetch(peer, series[0], tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_an_instance_that_comes_twice_is_counted_once(scripted, series, tmp_path, progress):
    with (
        scripted(find=refuses(0xA900), get=sends([series[0], series[0]])) as peer,
        pytest.raises(PacsError, match="says that it sent 2 instances, 1 came"),
    ):
        fetch(peer, series[0], tmp_path / "back", progress)


def changed(dataset, **attributes):
    """Return a copy with other attributes."""
    other = copy.deepcopy(dataset)
    for keyword, value in attributes.items():
        setattr(other, keyword, value)
    return other


def test_an_instance_that_was_not_listed_is_refused(scripted, series, tmp_path, progress):
    with (
        scripted(find=lists(series[:2]), get=sends(series)) as peer,
        pytest.raises(PacsError, match=f"{series[2].SOPInstanceUID}, which it did not list"),
    ):
        fetch(peer, series[0], tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_two_different_instances_of_one_uid_are_refused(scripted, series, tmp_path, progress):
    other = changed(series[2], PixelData=bytes(len(series[2].PixelData)))
    with (
        scripted(find=lists(series), get=sends([*series, other])) as peer,
        pytest.raises(PacsError, match=f"two different objects with the SOP Instance UID {other.SOPInstanceUID}"),
    ):
        fetch(peer, series[0], tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_a_cancelled_retrieval_takes_no_further_instance(scripted, series, tmp_path, progress):
    def on_get(event):
        progress.cancel()
        yield from sends(series)(event)

    with scripted(find=lists(series), get=on_get) as peer, pytest.raises(CancelledError):
        fetch(peer, series[0], tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_an_answer_to_a_query_that_cannot_be_read_is_an_error(scripted, series):
    def on_find(event):
        event.assoc.abort()
        yield 0x0000, None

    with scripted(find=on_find) as peer, pytest.raises(PacsError, match="did not answer the C-FIND"):
        inventory(peer, series[0].StudyInstanceUID, series[0].SeriesInstanceUID)


def test_a_folder_that_cannot_be_made_is_an_error(scripted, series, tmp_path, progress):
    (tmp_path / "file").write_text("")
    with scripted(find=lists(series)) as peer, pytest.raises(PacsError, match="cannot be written to"):
        fetch(peer, series[0], tmp_path / "file" / "back", progress)


def test_what_is_no_dicom_is_refused_by_the_inbox(tmp_path, progress):
    with Inbox(tmp_path, "1.2", "1.2.3", None, progress) as inbox:
        assert inbox.take(b"nonsense") == 0xC000
        with pytest.raises(PacsError, match="an object that cannot be read"):
            inbox.finish(Peer("PACS"))


def test_a_path_in_place_of_a_uid_is_refused_by_the_inbox(make_series, tmp_path, progress):
    (file,) = make_series(tmp_path / "series", 1)
    dataset = dcmread(file)
    dataset.SOPInstanceUID = "../../outside"
    dataset.save_as(file)
    with Inbox(tmp_path / "in", dataset.StudyInstanceUID, dataset.SeriesInstanceUID, None, progress) as inbox:
        assert inbox.take(file.read_bytes()) == 0x0117
        with pytest.raises(PacsError, match="is no UID"):
            inbox.finish(Peer("PACS"))
    assert not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1.2.840", True),
        ("1", True),
        ("1..2", False),
        (".1", False),
        ("1/2", False),
        ("", False),
        ("1." * 40 + "1", False),
    ],
)
def test_a_uid_is_told_from_a_path(text, answer):
    assert is_uid(text) is answer


@pytest.mark.parametrize("count", [1, 2, 9, 16, 40, 200])
def test_no_proposal_has_more_contexts_than_an_association(count):
    contexts, roles = storage_proposal(f"1.2.3.{number}" for number in range(count))
    assert len(contexts) + 1 <= 128
    assert len(roles) == min(count, 63)
    for role in roles:
        offered = [
            syntax
            for context in contexts
            if context.abstract_syntax == role.sop_class_uid
            for syntax in context.transfer_syntax
        ]
        assert len(offered) == len(set(offered)) == 16


def test_one_class_is_proposed_with_each_compressed_syntax_alone():
    contexts, _ = storage_proposal([CTImageStorage])
    assert sorted(len(context.transfer_syntax) for context in contexts) == [1] * 13 + [3]
