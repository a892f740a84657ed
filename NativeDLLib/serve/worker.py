"""One command of this program for a request: in a process of its own, limited, and ended with the request."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.serve.errors import ServeError
from NativeDLLib.serve.formats import without_places
from NativeDLLib.serve.limits import Settings
from NativeDLLib.worker import child


async def run_command(arguments: Sequence[str], folder: Path, settings: Settings) -> None:
    """Run a command of this program to its end. `folder` is that of the request; clients are not told its name.
    ServeError where the command fails, or takes too long or too much memory. Then, and where this task is cancelled,
    the process and all that it started are gone.
    """
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
    """Error for the client of a command that failed."""
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
