"""The peers in pacs.json, and what is said when they are wrong."""

import json

import pytest

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import kept
from NativeDLLib.pacs.peers import find_peer, load_peers

PLAIN = {"name": "MAIN", "ae_title": "MAIN", "host": "pacs.example", "port": 104}


@pytest.fixture
def write(tmp_path):
    def write(*peers):
        file = tmp_path / "pacs.json"
        file.write_text(json.dumps({"peers": peers}))
        return file

    return write


def test_a_peer_of_four_keys_has_the_documented_defaults(write):
    peer = load_peers(write(PLAIN))["MAIN"]
    assert (peer.calling_ae_title, peer.retrieve, peer.store, peer.tls) == ("NATIVEDL", "get", "dimse", None)
    assert (peer.timeouts.acse, peer.timeouts.dimse, peer.timeouts.network) == (30, 30, 60)
    assert str(peer) == "MAIN (MAIN at pacs.example:104)"


def test_certificates_lie_relative_to_the_file_or_in_the_home_folder(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    tls = {"ca": "certificates/ca.pem", "cert": "~/own.pem", "key": "/keys/own.key", "check_hostname": False}
    found = load_peers(write(PLAIN | {"tls": tls}))["MAIN"].tls
    assert found.ca == tmp_path / "certificates" / "ca.pem"
    assert found.cert == tmp_path / "home" / "own.pem"
    assert str(found.key) == "/keys/own.key"
    assert found.check_hostname is False


def test_a_peer_of_dicomweb_alone_needs_no_ae_title(write):
    web = {"name": "WEB", "retrieve": "dicomweb", "store": "dicomweb", "dicomweb": {"url": "https://web.example/rs"}}
    peer = load_peers(write(web))["WEB"]
    assert str(peer) == "WEB (https://web.example/rs)"


def test_without_a_file_given_the_users_own_is_read():
    file = kept("pacs.json")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"peers": [PLAIN]}))
    assert list(load_peers()) == ["MAIN"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": "abc"}, "peers[1] (MAIN).port: 'abc' is not of type 'integer'"),
        ({"port": 0}, "peers[1] (MAIN).port: 0 is less than the minimum of 1"),
        ({"ae_title": ""}, "peers[1] (MAIN).ae_title"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, "peers[1] (MAIN).ae_title: 'SEVENTEEN_LETTERS' is too long"),
        ({"ae_title": "BACK\\SLASH"}, "peers[1] (MAIN).ae_title"),
        ({"ae_title": "TAB\tTAB"}, "peers[1] (MAIN).ae_title"),
        ({"ae_title": "   "}, "peers[1] (MAIN).ae_title"),
        ({"calling_ae_title": "Ä"}, "peers[1] (MAIN).calling_ae_title"),
        ({"colour": "red"}, "peers[1] (MAIN): 'colour' is not known here"),
        ({"timeouts": {"acse": -1}}, "peers[1] (MAIN).timeouts.acse"),
        ({"retrieve": "move"}, "peers[1] (MAIN): 'move_port' is missing"),
        ({"store": "dicomweb"}, "peers[1] (MAIN): 'dicomweb' is missing"),
        ({"dicomweb": {"url": "ftp://x"}}, "peers[1] (MAIN).dicomweb.url"),
        ({"tls": {"cert": "own.pem"}}, "peers[1] (MAIN).tls: 'key' is missing, which 'cert' needs"),
    ],
)
def test_a_wrong_field_is_named_with_file_and_entry(write, change, message):
    file = write(PLAIN | {"name": "OTHER"}, PLAIN | change)
    with pytest.raises(UsageError) as caught:
        load_peers(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_port_is_named(write):
    with pytest.raises(UsageError, match="'port' is missing"):
        load_peers(write({"name": "MAIN", "ae_title": "MAIN", "host": "pacs.example"}))


def test_two_peers_of_one_name_are_refused(write):
    with pytest.raises(UsageError, match=r"peers\[1\] \(MAIN\).name: another peer has this name"):
        load_peers(write(PLAIN, PLAIN))


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(UsageError, match=r'no such file; write one like \{"peers"'):
        load_peers(tmp_path / "pacs.json")


@pytest.mark.parametrize("content", ["{", "[]", '{"peers": 1}', "\xff"])
def test_a_file_that_is_no_list_of_peers_is_refused(tmp_path, content):
    file = tmp_path / "pacs.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=r"pacs\.json"):
        load_peers(file)


def test_an_unknown_peer_is_told_the_known_ones(write):
    with pytest.raises(UsageError, match="no peer is called 'MIAN'; known are: MAIN"):
        find_peer(load_peers(write(PLAIN)), "MIAN")
