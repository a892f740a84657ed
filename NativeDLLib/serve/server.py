"""The server itself: it listens where it may, and ends with all its jobs when it is asked to."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from NativeDLLib.core.errors import NativeDLError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.serve.app import make_app
from NativeDLLib.serve.desk import Desk
from NativeDLLib.serve.limits import Settings, is_loopback

_POLL_S = 0.1
# Longer than a job that is asked to end may take.
_LEAVE_S = 20
_HEAD_S = 10.0
_MOST, _MOST_OF_ADDRESS = 256, 64


def listen(host: str, port: int) -> socket.socket:
    """Listening socket, on a free port for port 0; NativeDLError where the address is taken or not this computer's."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise NativeDLError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def check_certificate(certificate: Path, key: Path) -> None:
    """Raise UsageError where a certificate and its key cannot be used."""
    try:
        # An empty password, lest OpenSSL ask for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise UsageError(f"certificate {certificate} with key {key}: cannot be used: {error}") from error


def serve(settings: Settings, listening: socket.socket, started: Callable[[], None], progress: Progress) -> None:
    """Serve on a socket of `listen`, which is closed at the end, until cancelled; `started` is called when requests are
    answered. On cancellation jobs are ended and their clients told.
    """
    desk = Desk(settings)
    config = uvicorn.Config(
        make_app(settings, desk),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        http=type("Connection", (_Connection,), {"_open": {}}),
        timeout_graceful_shutdown=_LEAVE_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    asyncio.run(_serve(_Server(config), desk, listening, started, progress))


class _Server(uvicorn.Server):
    """Leaves the signals to the command line, which turns them into `Progress`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    server: _Server, desk: Desk, listening: socket.socket, started: Callable[[], None], progress: Progress
) -> None:
    serving = asyncio.create_task(server.serve([listening]))
    announced = False
    while not progress.is_cancelled and not serving.done():
        if server.started and not announced:
            announced = True
            started()
        await asyncio.wait({serving}, timeout=_POLL_S)
    desk.stop()
    server.should_exit = True
    await serving


class _Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Connection that is closed when the head of a request does not come in time, or others need its place."""

    _open: dict["_Connection", str]

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        address = str((transport.get_extra_info("peername") or ("",))[0])
        self._open[self] = address
        same = [other for other, place in self._open.items() if place == address]
        self._make_room(list(self._open), _MOST)
        if not is_loopback(address):  # where a proxy may be
            self._make_room(same, _MOST_OF_ADDRESS)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is None:
            self._await_head()

    @property
    def is_waiting(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or bool(cycle.response_complete)

    def _await_head(self) -> None:
        if self.is_waiting:
            self._timer = asyncio.get_running_loop().call_later(_HEAD_S, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if self.is_waiting:
            self.transport.abort()

    def _make_room(self, connections: list["_Connection"], most: int) -> None:
        # The oldest without a whole request is closed, so that half requests keep nobody out; else the new one.
        if len(connections) > most:
            waiting = [other for other in connections if other.is_waiting and other is not self]
            halves = [other for other in connections if not other.is_waiting and other.cycle.more_body]
            given_up = [*waiting, *halves, self][0]
            self._open.pop(given_up, None)
            given_up.transport.abort()
