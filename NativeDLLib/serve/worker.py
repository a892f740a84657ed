"""One ``nativedl run`` in a process of its own, as a request needs it: watched, limited, and ended with the request."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.serve.errors import ServeError
from NativeDLLib.serve.formats import without_places
from NativeDLLib.serve.limits import Settings
from NativeDLLib.worker.processes import EventReader, environment, kill_tree, python_command

_POLL_S = 0.1
# A job that is asked to end has as long as `parent` gives it, and some more.
_END_S = 8.0


async def run_command(arguments: Sequence[str], folder: Path, settings: Settings) -> None:
    """Run a command of this program to its end.

    Parameters
    ----------
    arguments
        The command and its arguments.
    folder
        Of the request; its name is left out of what the client is told.

    Raises
    ------
    ServeError
        Where the command fails, takes too long or too much memory. In that case, and where this task is cancelled,
        the process and all that it started are gone.
    """
    process = await asyncio.create_subprocess_exec(
        *python_command("--events", "--with-parent", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(),
        # Ctrl-C in the terminal is for the server, which then ends its jobs; on Windows none opens a window.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    reader, stages = EventReader(), [""]
    following = asyncio.create_task(_follow(process, reader, stages))
    try:
        async with asyncio.timeout(settings.timeout):
            while not (await asyncio.wait({following}, timeout=_POLL_S))[0]:
                _check_memory(process.pid, settings)
            await following
    except TimeoutError:
        raise ServeError(503, "timeout", f"the prediction was ended after {settings.timeout:g} s") from None
    finally:
        following.cancel()
        await _end(process)
    if process.returncode:
        raise _failure(process.returncode, reader.error, stages[-1], folder, settings)


async def _follow(process: asyncio.subprocess.Process, reader: EventReader, stages: list[str]) -> None:
    assert process.stdout is not None
    while data := await process.stdout.read(2**16):
        stages.extend(str(event.get("stage")) for kind, event in reader.feed(data) if kind == "stage")
    await process.wait()


def _check_memory(pid: int, settings: Settings) -> None:
    used = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            used += member.memory_info().rss
    if used > settings.max_memory:
        kill_tree(pid)
        limit = f"{settings.max_memory / 2**30:g} GiB"
        raise ServeError(413, "too_large", f"segmenting this takes more than the {limit} of memory that a request has")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process that still runs: it is asked first, by closing its standard input."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        kill_tree(process.pid)
        await process.wait()
    except BaseException:
        kill_tree(process.pid)
        raise


def _failure(code: int, told: str | None, last_stage: str, folder: Path, settings: Settings) -> ServeError:
    """Return what the client is told of a command that failed with an exit code."""
    message = without_places(told or "", folder)
    if code == UsageError.exit_code and message:
        return ServeError(400, "usage", message)
    if code == InputError.exit_code and message:
        return ServeError(422, "input", message)
    # The choice of the model follows the scan; anything later is about this computer and none of the client's business.
    if code == ModelError.exit_code and last_stage == "scan":
        return ServeError(422, "no_model_fits", message)
    reason = message if code == ModelError.exit_code else f"the job ended with code {code}"
    settings.log({"event": "failure", "reason": reason})
    return ServeError(500, "server", "the model could not be run on this server; its log says why")
