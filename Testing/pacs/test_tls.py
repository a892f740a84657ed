"""Associations over TLS with certificates made for the test."""

import dataclasses

import pytest
from pydicom import dcmread
from servers import LOOPBACK, Orthanc, Storescp, free_port, make_certificate

from NativeDLLib.core.errors import PacsError, UsageError
from NativeDLLib.demo.pacs_server import EmbeddedPacs
from NativeDLLib.pacs.association import echo
from NativeDLLib.pacs.peers import Peer, Timeouts, Tls
from NativeDLLib.pacs.retrieve import retrieve
from NativeDLLib.pacs.store import store_each

PATIENT = Timeouts(60, 60, 60, 60)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("others"), "other.example")


@pytest.fixture(scope="module")
def peer(tls, tmp_path_factory):
    with EmbeddedPacs(tmp_path_factory.mktemp("pacs"), tls=tls.server_context("SAFE")) as server:
        yield Peer("SAFE", server.ae_title, LOOPBACK, server.port, tls=tls, timeouts=PATIENT)


def test_a_peer_with_our_certificate_authority_is_spoken_to(peer):
    assert echo(peer) > 0


def test_objects_go_there_and_back(peer, make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 3)
    assert all(outcome.ok for outcome in store_each(peer, files))
    one = dcmread(files[0])
    back = retrieve(peer, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path / "back", progress)
    assert len(back) == 3


def test_dcmtk_takes_our_objects_over_tls(tls, make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 3)
    with Storescp(tmp_path / "scp", "+tls", str(tls.key), str(tls.cert), "+cf", str(tls.ca)) as server:
        outcomes = list(store_each(server.peer(tls=tls), files))
        assert len(server.files()) == 3
    assert all(outcome.ok for outcome in outcomes)


def test_a_certificate_that_nobody_vouches_for_is_refused(peer, other):
    with pytest.raises(PacsError, match=r"cannot be reached: .*certificate verify failed"):
        echo(dataclasses.replace(peer, tls=other))


def test_a_certificate_for_another_host_is_refused_unless_that_is_allowed(peer, other, tmp_path):
    with EmbeddedPacs(tmp_path, tls=other.server_context("OTHER")) as server:
        wrong = Peer("OTHER", server.ae_title, "localhost", server.port, tls=other, timeouts=PATIENT)
        with pytest.raises(PacsError, match="Hostname mismatch"):
            echo(wrong)
        lenient = dataclasses.replace(other, check_hostname=False)
        assert echo(dataclasses.replace(wrong, tls=lenient)) > 0


def test_a_peer_that_wants_a_certificate_of_ours_gets_none_and_says_no(peer, tls):
    with pytest.raises(PacsError, match=r"our certificate|cannot be reached"):
        echo(dataclasses.replace(peer, tls=Tls(ca=tls.ca)))


def test_speaking_plainly_to_a_peer_with_tls_is_explained(peer):
    with pytest.raises(PacsError, match="whether it expects TLS"):
        echo(dataclasses.replace(peer, tls=None))


def test_a_certificate_file_that_is_missing_is_a_fault_of_the_configuration(peer, tmp_path):
    with pytest.raises(UsageError, match=r"TLS files of SAFE .* cannot be used"):
        echo(dataclasses.replace(peer, tls=Tls(ca=tmp_path / "missing.pem")))
    with pytest.raises(UsageError, match=r"the TLS files of SAFE \(.*missing.pem\) cannot be used"):
        Tls(ca=tmp_path / "missing.pem").server_context("SAFE")


@pytest.mark.parametrize("use_tls", [True, False])
def test_what_a_pacs_moves_to_us_comes_over_tls_or_is_refused(tls, make_series, tmp_path, progress, use_tls):
    port = free_port()
    back = {"AET": "NATIVEDL", "Host": LOOPBACK, "Port": port, "UseDicomTls": use_tls}
    files = {"DicomTlsCertificate": tls.cert, "DicomTlsPrivateKey": tls.key, "DicomTlsTrustedCertificates": tls.ca}
    settings = {name: str(file) for name, file in files.items()} | {"DicomModalities": {"us": back}}
    sent = make_series(tmp_path / "sent", 1)
    one = dcmread(sent[0])
    with Orthanc(tmp_path / "orthanc", DicomTlsEnabled=True, **settings) as server:
        peer = server.peer(tls=tls, retrieve="move", move_port=port)
        assert all(outcome.ok for outcome in store_each(peer, sent))
        if use_tls:
            (file,) = retrieve(peer, one.StudyInstanceUID, None, tmp_path / "back", progress)
            assert dcmread(file) == one
        else:
            with pytest.raises(PacsError, match="ORTHANC"):
                retrieve(peer, one.StudyInstanceUID, None, tmp_path / "back", progress)
