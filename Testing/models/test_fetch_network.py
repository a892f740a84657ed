"""The way to a server: certificates, the site's own authority, proxies, silence."""

import socket
import ssl

import pytest
from remote_model import download_from as get
from remote_model import download_refusal as refusal
from servers import free_port, make_certificate
from weights_server import WeightsServer

from NativeDLLib.models.fetch import download as module

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def _patience(direct):
    """Wait no time between tries, and ask no proxy but that of a test."""


@pytest.fixture
def site():
    server = WeightsServer(CONTENT)
    yield server
    server.stop()


@pytest.fixture
def secure(tmp_path):
    tls = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    server = WeightsServer(CONTENT, context)
    yield server, tls.cert
    server.stop()


def test_a_certificate_that_nobody_vouches_for_is_refused(secure, tmp_path):
    server, _ = secure

    assert "is not trusted; if your site has an authority of its own" in refusal(f"{server.address}/a.zip", tmp_path)
    assert server.requests == []


def test_an_authority_of_the_site_is_taken(secure, tmp_path, monkeypatch):
    server, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert get(f"{server.address}/a.zip", tmp_path) == CONTENT


def test_the_proxy_that_the_environment_names_is_asked(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", site.address.replace("//", "//user:secret@"))
    monkeypatch.setenv("http_proxy", site.address.replace("//", "//user:secret@"))

    assert get("http://127.0.0.1:9/a.zip", tmp_path) == CONTENT

    (path, headers), *_ = site.requests
    assert path == "http://127.0.0.1:9/a.zip"
    assert headers["Proxy-Authorization"].startswith("Basic ")


def test_a_proxy_that_is_not_there_is_told_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{free_port()}")

    message = refusal("http://127.0.0.1:9/a.zip", tmp_path)

    assert "the proxy cannot be reached or refuses" in message
    assert "secret" not in message


def test_a_server_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_S", (1, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"

        assert "the server does not answer" in refusal(url, tmp_path)
