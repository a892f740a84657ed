"""The server itself: it listens where it may, and ends with all its jobs when it is asked to."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from NativeDLLib.core.errors import NativeDLError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.serve.app import make_app
from NativeDLLib.serve.connections import connection_class
from NativeDLLib.serve.desk import Desk
from NativeDLLib.serve.limits import Settings

_POLL_S = 0.1
# Longer than a job that is asked to end may take.
_LEAVE_S = 20


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
        http=connection_class(),
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
