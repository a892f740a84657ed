"""Who is served when: some predictions at a time, some more that wait, and no others."""

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from starlette.requests import Request

from NativeDLLib.serve.errors import ServeError
from NativeDLLib.serve.limits import Settings
from NativeDLLib.serve.worker import run_command

# What the first client that is turned away is told, before any prediction has shown how long one takes.
_FIRST_GUESS_S = 10.0


class Desk:
    """Lets requests to the workers in the order in which they came."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.jobs)
        self._stopping = asyncio.Event()
        self._seconds = _FIRST_GUESS_S
        self.taken = 0

    def check_place(self) -> None:
        """Raise a `ServeError` where there is no place, or the server is being stopped."""
        places = self._settings.jobs + self._settings.queue
        if self._stopping.is_set():
            raise _stopping()
        if self.taken >= places:
            wait = str(max(1, math.ceil(self._seconds * self.taken / self._settings.jobs / 2)))
            raise ServeError(503, "busy", f"all {places} places are taken; try again later", {"Retry-After": wait})

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while the block lasts; see `check_place` for what it raises."""
        self.check_place()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(self, commands: Sequence[Sequence[str]], folder: Path, request: Request) -> None:
        """Run commands one after the other in one turn; end them when the client goes away or the server is stopped.
        ServeError where one fails, or is ended.
        """
        work = asyncio.create_task(self._in_turn(commands, folder))
        gone = asyncio.create_task(_until_gone(request))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, gone, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                # To a client that has gone away nobody answers any more.
                raise _stopping()
            await work
        finally:
            for task in (work, gone, stopped):
                task.cancel()
            # Not before the process has ended may its folder be removed and its place be given away.
            await asyncio.wait({work, gone, stopped})

    def stop(self) -> None:
        """End what runs and what waits, and take nothing more."""
        self._stopping.set()

    async def _in_turn(self, commands: Sequence[Sequence[str]], folder: Path) -> None:
        async with self._turns:
            started = time.monotonic()
            for arguments in commands:
                await run_command(arguments, folder, self._settings)
            self._seconds = time.monotonic() - started


async def _until_gone(request: Request) -> None:
    # After the body nothing but this message comes.
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _stopping() -> ServeError:
    return ServeError(503, "stopping", "the server is being stopped; nothing was kept")
