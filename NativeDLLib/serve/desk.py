"""Who is served when: some predictions at a time, some more that wait, and no others; each in processes of its own."""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.requests import Request

from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.serve.answers import ServeError
from NativeDLLib.serve.formats import without_places
from NativeDLLib.serve.limits import Settings
from NativeDLLib.worker import child

# Told to the first client that is turned away, before any prediction has shown how long one takes.
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
        """Run commands one by one in one turn, until the client goes away; ServeError where one fails or is ended."""
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
                await _run_command(arguments, folder, self._settings)
            self._seconds = time.monotonic() - started


async def _until_gone(request: Request) -> None:
    # After the body nothing but this message comes.
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _stopping() -> ServeError:
    return ServeError(503, "stopping", "the server is being stopped; nothing was kept")


async def _run_command(arguments: Sequence[str], folder: Path, settings: Settings) -> None:
    """Run a command to its end; after it, or once this task is cancelled, none of its processes is left."""
    stop, pool = threading.Event(), ThreadPoolExecutor(1)
    work = pool.submit(child.run_command, arguments, stop.is_set, seconds=settings.timeout, memory=settings.max_memory)
    pool.shutdown(wait=False)
    try:
        ended = await asyncio.shield(waited := asyncio.wrap_future(work))
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({waited})
        raise
    if ended.limit == "time":
        raise ServeError(503, "timeout", f"the prediction was ended after {settings.timeout:g} s")
    if ended.limit == "memory":
        limit = f"{settings.max_memory / 2**30:g} GiB"
        raise ServeError(413, "too_large", f"segmenting this takes more than the {limit} of memory that a request has")
    if ended.code:
        raise _failure(ended, folder, settings)


def _failure(ended: child.Ended, folder: Path, settings: Settings) -> ServeError:
    code, message = ended.reader.code, without_places(ended.reader.error or "", folder)
    if code == UsageError.exit_code:
        return ServeError(400, "usage", message)
    if code == InputError.exit_code:
        return ServeError(422, "input", message)
    # The choice of the model follows the scan; anything later is about this computer and none of the client's business.
    if code == ModelError.exit_code and ended.reader.stage == "scan":
        return ServeError(422, "no_model_fits", message)
    reason = message if code == ModelError.exit_code else f"the job ended with code {ended.code}"
    settings.log({"event": "failure", "reason": reason})
    return ServeError(500, "server", "the model could not be run on this server; its log says why")
