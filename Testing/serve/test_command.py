"""Where ``nativedl serve`` listens, and what it refuses to start with."""

import subprocess
import sys

import pytest
import requests
from servers import LOOPBACK, make_certificate
from tools import nativedl


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def refusal(capsys, *arguments):
    """Return the line with which the command ends."""
    assert nativedl("serve", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "hospital.example"])
def test_other_computers_may_reach_it_only_with_tokens_and_tls(capsys, host, tokens, tls):
    certificate = ("--cert", tls.cert, "--key", tls.key)
    for given in ((), ("--token-file", tokens), certificate):
        assert "give --token-file and --cert with --key" in refusal(capsys, "--host", host, *given)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds no token"),
        ("# only this\n", "holds no token"),
        ("short\n", "line 1"),
        ("with blank in the middle", "line 1"),
    ],
)
def test_tokens_that_protect_nothing_are_refused(capsys, tmp_path, content, told):
    path = tmp_path / "tokens"
    path.write_text(content)

    assert told in refusal(capsys, "--token-file", path)
    assert "cannot be read" in refusal(capsys, "--token-file", tmp_path / "absent")


def test_certificates_that_cannot_be_used_are_refused(capsys, tmp_path, tls):
    assert "go together" in refusal(capsys, "--cert", tls.cert)
    assert "cannot be used" in refusal(capsys, "--cert", tls.key, "--key", tls.cert)
    assert "cannot be used" in refusal(capsys, "--cert", tmp_path / "absent", "--key", tls.key)


@pytest.mark.parametrize(
    "arguments",
    [("--device", "gpu"), ("--device", "https://elsewhere"), ("--jobs", "0"), ("--queue", "-1"), ("--port", "x")],
)
def test_arguments_that_mean_nothing_are_refused(capsys, arguments):
    assert "nativedl: error: " in refusal(capsys, *arguments)


def test_an_address_that_is_taken_is_named(serve, capsys):
    port = serve().url.rpartition(":")[2]

    assert nativedl("serve", "--port", port) == 1
    assert f"cannot listen on {LOOPBACK} port {port}" in capsys.readouterr().err


def test_it_is_spoken_to_over_tls_on_every_address(serve, tokens, token, tls):
    service = serve("--host", "0.0.0.0", "--token-file", tokens, "--cert", tls.cert, "--key", tls.key)
    url = service.url.replace("0.0.0.0", LOOPBACK)
    header = {"Authorization": f"Bearer {token}"}

    assert url.startswith("https://")
    assert service.session.get(f"{url}/models", headers=header, verify=str(tls.cert)).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        service.session.get(f"{url}/models", headers=header)
    with pytest.raises(requests.exceptions.ConnectionError):
        service.session.get(f"{url.replace('https', 'http')}/models", headers=header)


def test_nothing_of_the_service_is_imported_by_other_commands():
    code = (
        "import sys; from NativeDLLib.cli.main import main; main(['models']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('fastapi', 'starlette', 'uvicorn', 'python_multipart')])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert finished.stdout.splitlines()[-1] == "[]"
