"""A web server on this computer that serves one file, and fails in the ways that servers do."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WeightsServer:
    """Serves `content` at every path but those in `redirects`.

    Attributes
    ----------
    requests
        The path and headers of each request so far.
    breaks
        After how many bytes each of the next answers breaks off.
    statuses
        With what the next requests are answered instead.
    ranges, tag
        Whether ranges are answered; the ETag.
    """

    def __init__(self, content: bytes = b"", tls: ssl.SSLContext | None = None) -> None:
        self.content = content
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.breaks: list[int] = []
        self.statuses: list[int] = []
        self.redirects: dict[str, str] = {}
        self.ranges, self.tag, self.stated = True, '"one"', None
        self.hold: threading.Event | None = None
        self.asked = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "http" if tls is None else "https"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def offsets(self) -> list[str | None]:
        """Which range each request asked for."""
        return [headers.get("Range") for _, headers in self.requests]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that go away."""


def _handler(site: WeightsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.requests.append((self.path, dict(self.headers)))
            site.asked.set()
            if self.path in site.redirects:
                self._head(302, Location=site.redirects[self.path], Content_Length=0)
            elif site.statuses:
                self._head(site.statuses.pop(0), Content_Length=0)
            else:
                self._send()

        def _send(self) -> None:
            total, start, wanted = len(site.content), 0, self.headers.get("Range")
            if wanted and site.ranges and self.headers.get("If-Range") == site.tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= total:
                    self._head(416, Content_Range=f"bytes */{total}", Content_Length=0)
                    return
                where = f"bytes {start}-{total - 1}/{total}"
                self._head(206, Content_Range=where, Content_Length=total - start, ETag=site.tag)
            else:
                self._head(200, Content_Length=site.stated or total, ETag=site.tag)
            end = min(total, start + site.breaks.pop(0)) if site.breaks else total
            self.wfile.write(site.content[start:end])
            self.wfile.flush()
            if site.hold is not None:
                site.hold.wait(30)
            if end < total or site.stated:
                self.close_connection = True

        def _head(self, status: int, **headers: Any) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
