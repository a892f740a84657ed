"""The servers of Slicer's settings, as CTK writes them, beside the user's own peers."""

import json
import stat

import pytest
from servers import Orthanc
from tools import nativedl

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import kept
from NativeDLLib.pacs.peers import load_peers
from NativeDLLib.panel.slicer_servers import merge_peers


def row(**changes):
    """Return a row of settings as ctkDICOMServerNodeWidget2 saves it; keys are written with _ for spaces."""
    settings = {
        "Address": "pacs.example", "Called AETitle": "MAIN", "Calling AETitle": "SLICER", "Name": "Main PACS",
        "Port": "104", "Query/Retrieve": "", "QueryRetrieveCheckState": 2, "Retrieve Protocol": "CGET",
        "Retrieve Proxy": "", "Storage": "", "StorageCheckState": 2, "Timeout": 30, "Verification": "unknown",
    }  # fmt: skip
    return json.dumps(settings | {key.replace("_", " "): value for key, value in changes.items()}, indent=4)


@pytest.fixture
def merge(tmp_path):
    def merge(*rows):
        target = tmp_path / "slicer" / "pacs.json"
        warnings = merge_peers(rows, target)[1]
        return load_peers(target), warnings

    return merge


def own_file(*peers):
    path = kept("pacs.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"peers": peers}))
    return path


def test_a_server_of_slicer_becomes_a_peer(merge):
    peers, warnings = merge(row())

    peer = peers["Main PACS"]
    assert str(peer) == "Main PACS (MAIN at pacs.example:104)"
    assert (peer.calling_ae_title, peer.retrieve, peer.store) == ("SLICER", "get", "dimse")
    assert (peer.timeouts.connect, peer.timeouts.acse, peer.timeouts.dimse) == (30, 30, 30)
    assert warnings == []


@pytest.mark.parametrize("changes", [{"Port": 104, "Timeout": "30"}, {"Name": "  Main \n PACS "}])
def test_numbers_may_be_texts_and_names_are_cleaned(merge, changes):
    assert merge(row(**changes)) == merge(row())


def test_a_row_without_name_time_out_and_calling_ae_title_has_our_defaults(merge):
    peers, warnings = merge(row(Name="", Timeout="", Calling_AETitle=""))

    assert list(peers) == ["MAIN"]
    assert peers["MAIN"].calling_ae_title == "NATIVEDL"
    assert peers["MAIN"].timeouts.connect == 10
    assert warnings == []


def test_a_name_that_is_too_long_is_cut(merge):
    assert list(merge(row(Name="x" * 63 + " yz"))[0]) == ["x" * 63]


def test_a_server_that_is_switched_off_in_slicer_is_left_out(merge):
    examples = row(Name="ExampleHost", QueryRetrieveCheckState=0, StorageCheckState=0)

    assert list(merge(examples, row())[0]) == ["Main PACS"]


@pytest.mark.parametrize("used", ["QueryRetrieveCheckState", "StorageCheckState"])
def test_a_server_for_one_purpose_is_taken(merge, used):
    states = {"QueryRetrieveCheckState": 0, "StorageCheckState": 0, used: 2}

    assert list(merge(row(**states))[0]) == ["Main PACS"]


def test_a_row_of_an_older_slicer_is_taken(merge):
    old = json.dumps(
        {
            "Name": "OLD", "CheckState": 2, "Calling AETitle": "CTK", "Called AETitle": "OLD", "Address": "old.example",
            "Port": "11112", "Retrieve Protocol": "CGET",
        }
    )  # fmt: skip

    assert str(merge(old)[0]["OLD"]) == "OLD (OLD at old.example:11112)"


@pytest.mark.parametrize("protocol", ["CMOVE", "WADO"])
def test_a_server_retrieved_from_by_other_means_is_taken_with_a_warning(merge, protocol):
    peers, warnings = merge(row(Retrieve_Protocol=protocol))

    assert peers["Main PACS"].retrieve == "get"
    assert warnings == [
        f"Slicer's DICOM server 1 (Main PACS): is retrieved from by C-GET instead of {protocol}; "
        "to retrieve otherwise, add it to pacs.json"
    ]


@pytest.mark.parametrize(
    ("broken", "warning"),
    [
        ("", "Slicer's DICOM server 2: its settings cannot be read"),
        ("@Invalid()", "Slicer's DICOM server 2: its settings cannot be read"),
        ("[1]", "Slicer's DICOM server 2: its settings cannot be read"),
        ("[" * 100_000, "Slicer's DICOM server 2: its settings cannot be read"),
        (row(Port="70000"), "Slicer's DICOM server 2 (Main PACS).port: 70000 is greater than the maximum of 65535"),
        (row(Port=""), "Slicer's DICOM server 2 (Main PACS).port: '' is not of type 'integer'"),
        (row(Address=""), "Slicer's DICOM server 2 (Main PACS).host: '' does not match: Name or address of the peer's"),
        (row(Called_AETitle=""), "Slicer's DICOM server 2 (Main PACS).ae_title"),
        (row(Calling_AETitle="x" * 17), "Slicer's DICOM server 2 (Main PACS).calling_ae_title"),
        ('{"Name": "\\ud800"}', "Slicer's DICOM server 2: its settings cannot be read"),
        ("{}", "Slicer's DICOM server 2 ()."),
    ],
)
def test_a_broken_row_is_left_out_with_a_warning_and_the_others_are_taken(merge, broken, warning):
    peers, warnings = merge(row(Name="FIRST"), broken, row(Name="THIRD"))

    assert list(peers) == ["FIRST", "THIRD"]
    assert len(warnings) == 1
    assert warnings[0].startswith(warning)
    assert warnings[0].endswith("; it is left out")


def test_two_servers_of_one_name_leave_the_first(merge):
    peers, warnings = merge(row(Port="1"), row(Port="2"))

    assert peers["Main PACS"].port == 1
    assert warnings == ["Slicer's DICOM server 2: another one is called 'Main PACS' too; it is left out"]


def test_the_users_own_peers_come_first_and_win(merge):
    mine = {"name": "Main PACS", "ae_title": "MINE", "host": "mine.example", "port": 4242, "max_pdu": 16384}
    other = mine | {"name": "OTHER"}

    own_file(other, mine)
    peers, warnings = merge(row(), row(Name="SECOND"))

    assert list(peers) == ["OTHER", "Main PACS", "SECOND"]
    assert (peers["Main PACS"].ae_title, peers["Main PACS"].max_pdu) == ("MINE", 16384)
    assert warnings == []


def test_certificates_are_found_from_the_new_place_too(merge):
    tls = {"ca": "certificates/ca.pem", "cert": "~/own.pem", "key": "/keys/own.key", "check_hostname": False}
    peer = {"name": "MINE", "ae_title": "MINE", "host": "mine.example", "port": 4242, "tls": tls}
    own = own_file(peer)

    assert merge()[0] == load_peers(own)


def test_a_file_of_ones_own_that_is_wrong_is_named_and_nothing_is_written(tmp_path):
    own = own_file({"name": "MINE"})

    with pytest.raises(UsageError, match=f"^{own}: "):
        merge_peers([row()], tmp_path / "target.json")

    assert not (tmp_path / "target.json").exists()


class QByteArray:
    """What PythonQt makes of a QByteArray: an object with its bytes."""

    def __init__(self, text):
        self.data = lambda: text.encode()


def test_rows_come_as_slicer_writes_them_now_and_as_it_did(merge):
    as_text = merge(row(Name="Nürnberg"))

    assert merge(QByteArray(row(Name="Nürnberg"))) == as_text
    assert merge(row(Name="Nürnberg").encode()) == as_text
    assert merge(json.loads(row(Name="Nürnberg"))) == as_text


@pytest.mark.parametrize("value", [None, 3, [], object()])
def test_a_row_that_the_settings_have_lost_hides_no_other(merge, value):
    peers, warnings = merge(value, row())

    assert list(peers) == ["Main PACS"]
    assert warnings == ["Slicer's DICOM server 1: its settings cannot be read; it is left out"]


def test_the_names_are_those_of_the_file_in_its_order(tmp_path):
    own_file({"name": "MINE", "ae_title": "M", "host": "mine.example", "port": 4242})
    rows = [row(), row(Name="OFF", QueryRetrieveCheckState=0, StorageCheckState=0), row(Name="MINE"), "broken"]

    names, warnings = merge_peers(rows, tmp_path / "target.json")

    assert names == list(load_peers(tmp_path / "target.json")) == ["MINE", "Main PACS"]
    assert len(warnings) == 1


def test_without_any_peers_the_file_says_so(merge):
    assert merge() == ({}, [])


def test_the_file_is_the_users_alone_and_replaces_the_last_one(merge, tmp_path):
    merge(row(Name="FIRST"))

    assert list(merge(row(Name="SECOND"))[0]) == ["SECOND"]
    assert stat.S_IMODE((tmp_path / "slicer" / "pacs.json").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "slicer").iterdir()] == ["pacs.json"]


def test_a_command_reaches_a_server_of_slicer_by_its_name(tmp_path, capsys):
    with Orthanc(tmp_path / "orthanc") as orthanc:
        server = row(Address="127.0.0.1", Port=str(orthanc.port), Called_AETitle="ORTHANC", Calling_AETitle="NATIVEDL")
        merge_peers([server], tmp_path / "pacs.json")

        assert nativedl("echo", "Main PACS", "--pacs", tmp_path / "pacs.json") == 0

    assert "Main PACS" in capsys.readouterr().out
