"""The command around an approval: decisions, who reviewed, where it goes, what is never touched."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pydicom
import pytest
from servers import Orthanc
from tools import dciodvfy_errors, nativedl


def test_segments_that_nobody_decided_about_are_refused_by_name(reviewed, capsys):
    reviewed.decide(Liver="accepted")

    assert reviewed.approve() == 2

    assert "1 segment(s) are not reviewed: 'Kidney'; accept or reject them" in capsys.readouterr().err
    assert not (reviewed.folder / "approved").exists()


@pytest.mark.parametrize(("decided", "status"), [({"Liver": "accepted"}, "partly reviewed"), ({}, "not reviewed")])
def test_they_are_stored_where_the_user_says_so_and_the_seg_says_that(reviewed, decided, status):
    reviewed.decide(**decided)

    assert reviewed.approve("--unreviewed") == 0

    assert len(reviewed.seg.SegmentSequence) == 2
    assert reviewed.seg.SeriesDescription == f"Bright block ({status})"
    assert reviewed.rows["Kidney"].decision == "pending"


def test_where_everything_is_rejected_nothing_is_written(reviewed, capsys):
    reviewed.decide(Liver="rejected", Kidney="rejected")

    assert reviewed.approve("--events") == 0

    *_, warning, result = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert warning["message"] == "no segment is left to be approved: no SEG is written"
    assert (result["event"], result["outcome"], result["segmentation"]) == ("result", "rejected", None)
    assert not (reviewed.folder / "approved").exists()


def test_where_everything_is_deleted_nothing_is_written(reviewed, capsys):
    reviewed.node.GetSegmentation().RemoveAllSegments()

    assert reviewed.approve() == 0

    assert "bright 1.2.3: rejected" in capsys.readouterr().out
    assert not (reviewed.folder / "approved").exists()


def test_the_seg_says_who_reviewed_it_and_which_result_it_was(reviewed):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve(reviewer="Dr. Jörg Müller") == 0

    seg, automatic = reviewed.seg, pydicom.dcmread(reviewed.out / "segmentation.dcm")
    assert str(seg.ContentCreatorName) == "Müller^Jörg^^Dr."
    assert seg.SeriesDescription == seg.ContentDescription == "Bright block (reviewed)"
    assert seg.SeriesInstanceUID != automatic.SeriesInstanceUID
    assert seg.StudyInstanceUID == automatic.StudyInstanceUID
    (source,) = seg.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == automatic.SOPInstanceUID
    images, predecessor = seg.ReferencedSeriesSequence
    assert images.SeriesInstanceUID == automatic.ReferencedSeriesSequence[0].SeriesInstanceUID
    assert predecessor.SeriesInstanceUID == automatic.SeriesInstanceUID
    assert dciodvfy_errors(reviewed.path) == []
    assert reviewed.approved["reviewer"] == "Müller^Jörg^^Dr."


@pytest.mark.parametrize("name", ["Jane", "Yamada^Tarou=山田^太郎=やまだ^たろう", "van der Berg^Jan^Piet^Dr.^MD"])
def test_names_of_all_forms_are_stored_as_valid_dicom(reviewed, name):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve(reviewer=name) == 0

    assert str(reviewed.seg.ContentCreatorName) == name
    assert dciodvfy_errors(reviewed.path) == []


def test_the_reviewer_is_in_no_line_that_may_be_logged(reviewed, capsys):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--events", reviewer="Doe^Jane") == 0

    output = capsys.readouterr()
    assert "Jane" not in output.out + output.err
    assert json.loads(output.out.splitlines()[-1])["outcome"] == "approved"


def test_the_automatic_result_is_never_touched(reviewed):
    before = {path: path.read_bytes() for path in sorted(reviewed.out.iterdir())}
    reviewed.decide(Liver="accepted", Kidney="rejected")

    assert reviewed.approve("--output", reviewed.out) == 0

    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in reviewed.out.iterdir()} - {path.name for path in before} == {
        "approved.dcm",
        "approved.json",
    }


def test_an_approved_result_is_not_replaced_unless_told_to(reviewed, capsys):
    reviewed.decide(Liver="accepted", Kidney="accepted")
    assert reviewed.approve() == 0
    first = reviewed.seg.SOPInstanceUID

    assert reviewed.approve() == 2
    assert "already holds approved.dcm, approved.json" in capsys.readouterr().err
    assert reviewed.seg.SOPInstanceUID == first
    assert reviewed.approve("--overwrite") == 0
    assert reviewed.seg.SOPInstanceUID != first


def test_the_series_may_be_in_a_list_of_files(reviewed):
    listing = reviewed.folder / "list.txt"
    listing.write_text("\n".join(str(path) for path in (reviewed.folder / "series").iterdir()))
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--files", listing) == 0


def test_the_series_may_be_in_slicers_database(reviewed):
    with closing(sqlite3.connect(reviewed.folder / "ctkDICOM.sql")) as connection, connection:
        connection.execute("CREATE TABLE Series (SeriesInstanceUID TEXT)")
        connection.execute("CREATE TABLE Images (SOPInstanceUID TEXT, Filename TEXT, SeriesInstanceUID TEXT)")
        for path in (reviewed.folder / "series").iterdir():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            row = header.SOPInstanceUID, f"series/{path.name}", header.SeriesInstanceUID
            connection.execute("INSERT INTO Images VALUES (?, ?, ?)", row)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--database", reviewed.folder / "ctkDICOM.sql", "--series", header.SeriesInstanceUID) == 0

    assert np.array_equal(reviewed.masks[..., 0], reviewed.labels == 1)


def test_the_seg_reaches_the_pacs(reviewed, tmp_path_factory, capsys):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc.port}
        peers = reviewed.folder / "pacs.json"
        peers.write_text(json.dumps({"peers": [peer]}))
        reviewed.decide(Liver="accepted", Kidney="accepted")

        assert reviewed.approve("--to", "ORTHANC", "--pacs", peers) == 0

        assert orthanc.instances() == [reviewed.seg.SOPInstanceUID]
    assert reviewed.approved["sent"] == {"peer": "ORTHANC", "delivered": True}
    assert "sent to ORTHANC" in capsys.readouterr().out


def test_a_peer_that_is_down_leaves_the_seg_and_the_outbox(reviewed, capsys):
    peers = reviewed.folder / "pacs.json"
    peers.write_text(json.dumps({"peers": [{"name": "DOWN", "ae_title": "DOWN", "host": "127.0.0.1", "port": 9}]}))
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--to", "DOWN", "--pacs", peers) == 5

    assert "nativedl outbox send" in capsys.readouterr().err
    assert reviewed.approved["sent"]["delivered"] is False
    assert nativedl("outbox", "list", "--pacs", peers) == 0
    assert reviewed.seg.SOPInstanceUID in capsys.readouterr().out


def test_decisions_are_given_without_editing_a_file(reviewed):
    command = ["approve", reviewed.folder / "series", "--result", reviewed.out, "--reviewer", "Jane Doe"]

    code = nativedl(*command, "-o", reviewed.folder / "approved", "--accept", "Liver", "--reject", "Kidney")

    assert code == 0
    assert {name: row.decision for name, row in reviewed.rows.items()} == {
        "Liver": "accepted", "Kidney": "rejected", "Spleen": "empty"
    }  # fmt: skip
    assert [segment.SegmentLabel for segment in reviewed.seg.SegmentSequence] == ["Liver"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--accept", "Lever"], "0 segments are called 'Lever'; there are Liver, Kidney"),
        (["--accept", "Liver", "--reject", "Liver"], "'Liver' is both accepted and rejected"),
        (["--accept", "Liver"], "1 segment(s) are not reviewed: 'Kidney'"),
    ],
)
def test_a_decision_about_nothing_or_against_another_is_refused(reviewed, capsys, given, message):
    command = ["approve", reviewed.folder / "series", "--result", reviewed.out, "--reviewer", "Jane Doe"]

    assert nativedl(*command, "-o", reviewed.folder / "approved", *given) == 2

    assert message in capsys.readouterr().err
    assert not (reviewed.folder / "approved").exists()
