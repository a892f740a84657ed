"""The answer with a file of a request's folder, which is removed when it has been sent or the client is gone."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

_CHUNK = 2**20


class FileAnswer(StreamingResponse):
    """Sends a file, then removes the folder of the request."""

    def __init__(self, path: Path, folder: Path, media_type: str) -> None:
        self._folder = folder
        length = {"content-length": str(path.stat().st_size), "cache-control": "no-store"}
        super().__init__(_chunks(path), media_type=media_type, headers=length)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await remove(self._folder)


async def nothing_found(folder: Path) -> Response:
    """Return the answer where there is no object to be sent."""
    await remove(folder)
    return Response(status_code=204)


async def remove(folder: Path) -> None:
    """Remove the folder of a request."""
    await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while data := await asyncio.to_thread(stream.read, _CHUNK):
            yield data
