"""Talking to ``nativedl serve``: who asks, the upload as it is read, and going away when cancelled."""

# Not with requests: closing its session does not close a connection that it waits on, and the server would go on.
import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from NativeDLLib.core.errors import InputError, ModelError, NativeDLError, UsageError
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.places import kept
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.device import is_server

_T = TypeVar("_T")
_CONNECT_S = 20.0
_POLL_S = 0.1
_CHUNK = 2**20
_LARGEST_ANSWER = 2**33
_LARGEST_PROBLEM = 2**20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KINDS = {"usage": UsageError, "no_such_model": UsageError, "input": InputError, "too_large": InputError}


class Upload:
    """The files of a series as a multipart body, read as it is sent."""

    def __init__(self, files: Sequence[Path], progress: Progress) -> None:
        boundary = uuid4().hex
        self.content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._files = files
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._end = f"--{boundary}--\r\n".encode()
        self._progress = progress
        self.length = sum(len(self._head) + file.stat().st_size + 2 for file in files) + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        for file in self._files:
            yield self._head
            with file.open("rb") as stream:
                while data := stream.read(_CHUNK):
                    yield data
                    sent += len(data)
                    self._progress.update("upload", min(1.0, sent / self.length))
            yield b"\r\n"
        yield self._end


def known_servers() -> dict[str, str]:
    """Servers in ``~/.nativedl/tokens.json`` with their tokens, which may be empty; UsageError where it is damaged."""
    path = kept("tokens.json")
    servers = read_json(path, UsageError) if path.is_file() else {}
    if not isinstance(servers, dict) or not all(isinstance(token, str) for token in servers.values()):
        raise UsageError(f'{path}: write an object of tokens by URL, as in {{"https://host:8443": "token"}}')
    wrong = next((url for url in servers if not is_server(url)), None)
    if wrong is not None:
        raise UsageError(f"{path}: '{wrong}' is no https://HOST:PORT of a NativeDL server")
    return {url.rstrip("/"): token for url, token in servers.items()}


def authorization(url: str) -> dict[str, str]:
    """Header with the token of a server; empty where there is none, UsageError where it is no token."""
    token = os.environ.get("NATIVEDL_TOKEN") or known_servers().get(url, "")
    if not token.isascii() or not token.isprintable():
        raise UsageError(f"the token for {url} holds characters that cannot be sent")
    return {"Authorization": f"Bearer {token}"} if token else {}


@contextmanager
def connect(url: str) -> Iterator[http.client.HTTPConnection]:
    """Give a connection; what goes wrong with it in the block becomes a `ModelError`."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"device {url}: {error}") from error
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise UsageError(f"device {url}: images go to another computer by https only")
    connection = (
        http.client.HTTPConnection(host, port, timeout=_CONNECT_S)
        if parts.scheme == "http"
        else http.client.HTTPSConnection(host, port, timeout=_CONNECT_S, context=ssl.create_default_context())
    )
    try:
        with closing(connection):
            yield connection
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"device {url} cannot be used: {error or type(error).__name__}") from error


def while_watching(progress: Progress, connection: http.client.HTTPConnection, work: Callable[[], _T]) -> _T:
    """Do what may wait for the server, and go away from it when cancelled, which ends its work too."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not wait({future}, _POLL_S).done:
            if progress.is_cancelled and connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
                wait({future})
        progress.check()
        return future.result()


def send(connection: http.client.HTTPConnection, target: str, upload: Upload, headers: dict[str, str]) -> None:
    """Send a request with the files."""
    connection.connect()
    # A prediction takes as long as it takes; whoever waits for it may progress.
    connection.sock.settimeout(None)
    with suppress(BrokenPipeError, ConnectionResetError):  # a server that refuses says so before it has read all
        connection.request("POST", target, body=upload, headers=headers)


def receive(connection: http.client.HTTPConnection, url: str, answer: Path) -> None:
    """Wait for the answer and write it to a file; raise what the server says is wrong."""
    response = connection.getresponse()
    if response.status != 200:
        raise _refused(response, url)
    size = 0
    with answer.open("wb") as stream:
        while data := response.read(_CHUNK):
            size += len(data)
            if size > _LARGEST_ANSWER:
                raise ModelError(f"{url} sent more than {_LARGEST_ANSWER >> 30} GiB")
            stream.write(data)


def largest_upload(connection: http.client.HTTPConnection, url: str) -> int:
    """Ask a server how many bytes it takes, and so whether it is one."""
    connection.request("GET", "/health")
    response = connection.getresponse()
    try:
        return int(json.loads(response.read(_LARGEST_PROBLEM))["max_upload"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"device {url} answers (HTTP {response.status}), but is no NativeDL server") from error


def _refused(response: http.client.HTTPResponse, url: str) -> NativeDLError:
    try:
        body = json.loads(response.read(_LARGEST_PROBLEM))
        message, code = str(body["error"]), str(body["code"])
    except (ValueError, KeyError, TypeError):
        message, code = f"HTTP {response.status} {response.reason}", ""
    after = response.getheader("Retry-After")
    wait = f" (in {after} s)" if after else ""
    hint = "put the token into NATIVEDL_TOKEN, or by URL into ~/.nativedl/tokens.json"
    return _KINDS.get(code, ModelError)(f"{url}: {message}{wait}", hint=hint if code == "unauthorized" else "")
