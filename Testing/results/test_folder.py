"""The folder of a result is written whole or not at all."""

import pytest
from pydicom import dcmread

from NativeDLLib.core.errors import InputError, PacsError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.outbox import Outbox
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.results.folder import Destination, ResultFolder
from NativeDLLib.results.report import Report

NAMES = ("a.txt", "b.txt", "object.dcm", "report.json")


def write(destination, *names, error=None, progress=None, outcome="done"):
    """Save some files, and end the block with an error if there is one."""
    with ResultFolder(destination, NAMES, progress or Progress()) as folder:
        folder.report = Report(outcome)
        for name in names:
            folder.path(name).write_text(name)
        if error is not None:
            raise error
    return folder.report


def names(path):
    return sorted(each.name for each in path.iterdir())


def test_files_are_in_place_with_the_report_that_names_them(tmp_path):
    progress = Progress()
    with progress.stage("work"):
        progress.warn("careful")

    report = write(Destination(tmp_path / "deep" / "out"), "a.txt", progress=progress)

    assert names(tmp_path / "deep" / "out") == ["a.txt", "report.json"]
    assert Report.read(tmp_path / "deep" / "out" / "report.json") == report
    assert report.files == {name: str(tmp_path / "deep" / "out" / name) for name in ("a.txt", "report.json")}
    assert (report.warnings, [stage.name for stage in report.stages]) == (["careful"], ["work"])
    assert report.sent is None


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError):
        write(Destination(tmp_path / "out"), "a.txt", "b.txt", error=InputError("no"))

    assert names(tmp_path) == []


def test_an_error_leaves_an_earlier_result_as_it_was(tmp_path):
    write(Destination(tmp_path / "out"), "a.txt")

    with pytest.raises(InputError):
        write(Destination(tmp_path / "out", overwrite=True), "b.txt", error=InputError("no"))

    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a.txt", "report.json"]


def test_where_nothing_is_saved_nothing_is_written(tmp_path):
    report = write(Destination(tmp_path / "out"), outcome="rejected")

    assert (names(tmp_path), report.outcome, report.files) == ([], "rejected", {})


def test_files_of_an_earlier_result_are_gone_and_those_of_others_stay(tmp_path):
    write(Destination(tmp_path / "out"), "a.txt", "b.txt")
    (tmp_path / "out" / "mine.txt").touch()

    write(Destination(tmp_path / "out", overwrite=True), "b.txt")

    assert names(tmp_path / "out") == ["b.txt", "mine.txt", "report.json"]


def test_a_result_is_not_replaced_without_being_told_to(tmp_path):
    write(Destination(tmp_path / "out"), "a.txt")

    with pytest.raises(UsageError, match=r"out: already holds a\.txt, report\.json"):
        write(Destination(tmp_path / "out"), "b.txt")
    with pytest.raises(UsageError, match=r"a\.txt: is a file"):
        write(Destination(tmp_path / "out" / "a.txt"), "b.txt")


def test_a_peer_that_is_down_keeps_the_result_and_says_why(tmp_path, series, monkeypatch):
    monkeypatch.setenv("NATIVEDL_OUTBOX", str(tmp_path / "outbox"))
    peer = Peer("DOWN", "DOWN", "127.0.0.1", 9)
    dataset = dcmread(next(series.iterdir()))
    uid = dataset.SOPInstanceUID

    def save():
        with ResultFolder(Destination(tmp_path / "out", peer), NAMES, Progress()) as folder:
            folder.report = Report("done")
            folder.report.structure_set = folder.save("object.dcm", dataset)

    with pytest.raises(PacsError, match=f"the result is in {tmp_path / 'out'}"):
        save()

    written = Report.read(tmp_path / "out" / "report.json")
    assert (written.sent.peer, written.sent.delivered) == ("DOWN", False)
    assert written.sent.reason
    assert "send" in [stage.name for stage in written.stages]
    assert written.structure_set.sop_instance_uid == uid
    assert [entry.sop_instance_uid for entry in Outbox().entries()] == [uid]
