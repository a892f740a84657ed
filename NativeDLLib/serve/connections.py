"""Connections of a server: how many there may be, and how long one may take to say what it wants."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from NativeDLLib.serve.auth import is_loopback

_HEAD_S = 10.0
_MOST, _MOST_OF_ADDRESS = 256, 64


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Connection that is closed when the head of a request does not come in time, or others need its place. Where there
    are too many, in all or from one address, the oldest without a whole request is closed, so that half requests keep
    nobody out; where all have one, the new connection is. For loopback, where a proxy may be, only the number in all
    counts.
    """

    _open: dict["Connection", str]

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Count a connection, and close one where there are too many."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        address = str((transport.get_extra_info("peername") or ("",))[0])
        self._open[self] = address
        same = [other for other, place in self._open.items() if place == address]
        self._make_room(list(self._open), _MOST)
        if not is_loopback(address):
            self._make_room(same, _MOST_OF_ADDRESS)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection no more."""
        self._open.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take data, and begin to wait where they are the start of another request."""
        super().data_received(data)
        if self._timer is None:
            self._await_head()

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered."""
        cycle: Any = self.cycle
        return cycle is None or bool(cycle.response_complete)

    def _await_head(self) -> None:
        if self.is_waiting:
            self._timer = asyncio.get_running_loop().call_later(_HEAD_S, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if self.is_waiting:
            self.transport.abort()

    def _make_room(self, connections: list["Connection"], most: int) -> None:
        if len(connections) > most:
            waiting = [other for other in connections if other.is_waiting and other is not self]
            halves = [other for other in connections if not other.is_waiting and other.cycle.more_body]
            given_up = [*waiting, *halves, self][0]
            self._open.pop(given_up, None)
            given_up.transport.abort()


def connection_class() -> type[Connection]:
    """Class of the connections of one server."""
    return type("Connection", (Connection,), {"_open": {}})
