"""Gate of every request: it keeps web pages out, and logs a line without patient data."""

import re
import time

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from NativeDLLib.serve.errors import ServeError
from NativeDLLib.serve.limits import Settings


class Gate:
    """An ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(Headers(scope=scope))
            app = self._app if refusal is None else JSONResponse(refusal.body(), refusal.status)
            await app(scope, receive, noting)
        finally:
            # The path of the route, not of the request: anyone may write anything into the latter.
            route = getattr(scope.get("route"), "path", "-")
            client = (scope.get("client") or ("-",))[0]
            seconds = round(time.monotonic() - started, 3)
            row = {"client": client, "method": scope["method"], "path": route, "status": status, "seconds": seconds}
            self._settings.log({"event": "request", **row})

    def _refusal(self, headers: Headers) -> ServeError | None:
        host = re.sub(r":\d*$", "", headers.get("host", "").lower())
        if self._settings.names and host not in self._settings.names:
            return ServeError(403, "forbidden", "this server is asked for under a name that is not its own")
        # Only browsers send it, and no page of ours exists.
        if "origin" in headers:
            return ServeError(403, "forbidden", "this server answers programs, not web pages")
        return None
