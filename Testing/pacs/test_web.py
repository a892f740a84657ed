"""The same services through Orthanc's DICOMweb plugin, and through servers that answer wrongly."""

import dataclasses
import http.server
import json
import socket
import threading

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless
from servers import LOOPBACK, free_port, make_certificate

from NativeDLLib.core.errors import CancelledError, PacsError, UsageError
from NativeDLLib.pacs import services, web
from NativeDLLib.pacs.peers import DicomWeb, Peer, Timeouts, Tls


@pytest.fixture
def peer(orthanc):
    return orthanc.peer(retrieve="dicomweb", store="dicomweb", ae_title="", host="", port=0)


@pytest.fixture
def stored(peer, make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 3)
    outcomes = list(web.store_each(peer, files))
    assert [(outcome.status, outcome.ok) for outcome in outcomes] == [(0, True)] * 3
    return [dcmread(file) for file in files]


def test_it_answers(peer):
    assert services.echo(peer) > 0


@pytest.mark.parametrize(
    ("level", "keyword"),
    [
        ("PATIENT", "PatientID"),
        ("STUDY", "StudyInstanceUID"),
        ("SERIES", "SeriesInstanceUID"),
        ("IMAGE", "SOPInstanceUID"),
    ],
)
def test_it_is_searched_at_every_level(peer, stored, level, keyword):
    one = stored[0]
    keys = {"PATIENT": {"PatientID": one.PatientID}, "STUDY": {"StudyInstanceUID": one.StudyInstanceUID}}.get(level)
    keys = keys or {"StudyInstanceUID": one.StudyInstanceUID, "SeriesInstanceUID": one.SeriesInstanceUID}
    matches = services.find(peer, level, keys)
    assert {match[keyword].value for match in matches} == {dataset[keyword].value for dataset in stored}


@pytest.mark.parametrize("whole_study", [False, True])
def test_what_is_retrieved_is_what_was_stored(peer, stored, tmp_path, progress, whole_study):
    one = stored[0]
    series = None if whole_study else one.SeriesInstanceUID
    files = services.retrieve(peer, one.StudyInstanceUID, series, tmp_path / "back", progress)
    assert {file.stem: dcmread(file) for file in files} == {dataset.SOPInstanceUID: dataset for dataset in stored}


def test_a_compressed_object_stays_compressed(peer, make_series, tmp_path, progress):
    (file,) = make_series(tmp_path / "sent", 1, syntax=JPEG2000Lossless)
    sent = dcmread(file)
    list(web.store_each(peer, [file]))
    (back,) = web.retrieve(peer, sent.StudyInstanceUID, sent.SeriesInstanceUID, tmp_path / "back", progress)
    assert dcmread(back) == sent
    assert dcmread(back).file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_a_series_that_is_not_there_is_an_error_and_leaves_nothing(peer, stored, tmp_path, progress):
    with pytest.raises(PacsError, match=r"has no instance of the series 1\.2\.3"):
        web.retrieve(peer, stored[0].StudyInstanceUID, "1.2.3", tmp_path / "back", progress)
    assert list((tmp_path / "back").iterdir()) == []


def test_a_cancelled_retrieval_is_not_begun(peer, stored, tmp_path, progress):
    progress.cancel()
    with pytest.raises(CancelledError):
        web.retrieve(peer, stored[0].StudyInstanceUID, None, tmp_path / "back", progress)


def test_whether_an_instance_is_there_can_be_asked(peer, stored):
    one = stored[0]
    assert services.has_instance(peer, one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
    assert not services.has_instance(peer, one.StudyInstanceUID, one.SeriesInstanceUID, "1.2.3")


class _Answers:
    """A web server that gives one answer to everything, and keeps the headers it saw."""

    def __init__(self, status=200, body=b"", kind="application/dicom+json", tls=None, location=None):
        answers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answers.headers.append(dict(self.headers))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self.headers = []
        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.server_context("WEB").wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        return f"{self._scheme}://{LOOPBACK}:{self._server.server_port}"

    def peer(self, **settings):
        return _web_peer(self.url, **settings)


def _web_peer(url, tls=None, **settings):
    timeouts = Timeouts(60, 60, 60, 60)
    return Peer(
        "WEB", retrieve="dicomweb", store="dicomweb", tls=tls, dicomweb=DicomWeb(url, **settings), timeouts=timeouts
    )


def _failed(reason, uid="1.2.3"):
    item = {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


def _stored(warning, uid="1.2.3"):
    item = {"00081155": {"vr": "UI", "Value": [uid]}, "00081196": {"vr": "US", "Value": [warning]}}
    return json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        (409, _failed(0xA700), (0xA700, False, False), "out of resources"),
        (202, _failed(0x0122), (0x0122, False, False), "does not take its SOP class"),
        (409, _failed(0xC122), (0xC122, False, False), "does not take its transfer syntax"),
        (202, _stored(0xB000), (0xB000, True, False), "changed elements"),
        (409, _failed(0xB000), (0xB000, False, False), "changed elements"),
        (409, _stored(0xB000), (None, False, False), "HTTP 409"),
        (202, _stored(0xB123), (0xB123, False, False), "that the standard does not have"),
        (200, _stored(0x0000), (0x0000, True, False), "success"),
        (200, _stored(0x0000, "1.2.9"), (None, False, True), "does not say whether"),
        (202, _failed(0xA700, "1.2.9"), (None, False, True), "does not say whether"),
        (200, b"{}", (None, False, True), "does not say whether"),
        (500, b"", (None, False, False), "HTTP 500"),
        (503, b"busy", (None, False, False), "HTTP 503"),
        (401, b"", (None, False, False), "HTTP 401"),
    ],
)
def test_the_outcome_of_each_object_is_read_from_the_answer(
    make_series, tmp_path, progress, status, body, expected, words
):
    files = make_series(tmp_path / "sent", 1, SOPInstanceUID="1.2.3")
    with _Answers(status, body) as server:
        (outcome,) = web.store_each(server.peer(), files)
    assert (outcome.status, outcome.ok, outcome.unclear) == expected
    assert words in outcome.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("secure", [True, False])
def test_no_redirect_takes_an_object_a_query_or_a_token_elsewhere(
    make_series, tmp_path, progress, monkeypatch, status, secure
):
    monkeypatch.setenv("PACS_TOKEN", "secret")
    files = make_series(tmp_path / "sent", 1, SOPInstanceUID="1.2.3")
    tls = make_certificate(tmp_path) if secure else None
    with _Answers(200, _stored(0x0000)) as thief, _Answers(status, tls=tls, location=thief.url) as server:
        peer = server.peer(tls=tls, token_env="PACS_TOKEN")
        (outcome,) = web.store_each(peer, files)
        with pytest.raises(PacsError, match="where nothing is sent"):
            web.find(peer, "STUDY", {"PatientID": "SECRET"})
        with pytest.raises(PacsError, match="where nothing is sent"):
            web.retrieve(peer, "1.2", "1.2.3", tmp_path / "back", progress)
        assert thief.headers == []
    assert (outcome.ok, outcome.unclear) == (False, False)
    assert "where nothing is sent" in outcome.message


def test_a_server_that_is_down_is_named(make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 2)
    outcomes = list(web.store_each(_web_peer(f"http://{LOOPBACK}:{free_port()}"), files))
    assert [(outcome.ok, outcome.unclear) for outcome in outcomes] == [(False, False)] * 2
    assert "WEB (http://127.0.0.1:" in outcomes[0].message
    assert "cannot be reached" in outcomes[0].message


def test_a_server_that_breaks_off_leaves_the_object_unclear(make_series, tmp_path, progress):
    files = make_series(tmp_path / "sent", 1)
    with socket.create_server((LOOPBACK, 0)) as server:
        breaker = threading.Thread(target=lambda: server.accept()[0].close())
        breaker.start()
        (outcome,) = web.store_each(_web_peer(f"http://{LOOPBACK}:{server.getsockname()[1]}"), files)
        breaker.join()
    assert (outcome.ok, outcome.unclear) == (False, True)


def test_https_is_checked_against_the_peers_certificate_authority(tmp_path, monkeypatch):
    tls = make_certificate(tmp_path, "elsewhere.example", address="127.0.0.2")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(tmp_path, "unrelated.example").ca))
    with _Answers(200, b"[]", tls=tls) as server:
        with pytest.raises(PacsError, match="cannot be reached"):
            web.find(server.peer(), "STUDY", {})
        with pytest.raises(PacsError, match="cannot be reached"):
            web.find(server.peer(tls=tls), "STUDY", {})
        assert web.find(server.peer(tls=dataclasses.replace(tls, check_hostname=False)), "STUDY", {}) == []


def test_an_answer_that_is_no_dicomweb_is_an_error():
    with _Answers(200, b"<html>", "text/html") as server, pytest.raises(PacsError, match="no DICOMweb"):
        web.find(server.peer(), "STUDY", {})


def test_a_server_that_ignores_the_offset_is_not_asked_for_ever():
    with _Answers(200, json.dumps([{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]).encode()) as server:
        assert len(web.find(server.peer(), "STUDY", {})) == 1


def test_an_instance_that_is_no_dicom_is_an_error(tmp_path, progress):
    listed = json.dumps([{"00080018": {"vr": "UI", "Value": ["1.2.3.4"]}}]).encode()
    with _Answers(200, listed) as server, pytest.raises(PacsError, match="no DICOMweb"):
        web.retrieve(server.peer(), "1.2", "1.2.3", tmp_path, progress)
    assert list(tmp_path.iterdir()) == []


def test_secrets_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("PACS_TOKEN", "secret")
    monkeypatch.setenv("PACS_KEY", "key")
    with _Answers(200, b"[]") as server:
        web.find(server.peer(token_env="PACS_TOKEN", headers_env={"X-Key": "PACS_KEY"}), "STUDY", {})
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert server.headers[0]["X-Key"] == "key"


def test_a_secret_that_is_not_set_is_named():
    with pytest.raises(UsageError, match="needs the environment variable PACS_TOKEN"):
        web.echo(_web_peer("http://127.0.0.1:1", token_env="PACS_TOKEN"))


def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    peer = _web_peer("https://127.0.0.1:1", tls=Tls(ca=tmp_path / "missing.pem"))
    with pytest.raises(UsageError, match=r"missing\.pem"):
        web.echo(peer)


def test_a_peer_without_dicomweb_is_told():
    with pytest.raises(UsageError, match="has no dicomweb"):
        web.echo(Peer("PLAIN", "PLAIN", "127.0.0.1", 104))
