"""One prediction: what a request asks for, put into the words of ``nativedl run``, and its result."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from NativeDLLib.core.files import write_names
from NativeDLLib.registry import effective, find_model, load_models
from NativeDLLib.registry.parameters import parse_assignments
from NativeDLLib.serve.answers import ServeError
from NativeDLLib.serve.bodies import disk_full, receive_files
from NativeDLLib.serve.desk import Desk
from NativeDLLib.serve.formats import FILES, FORMATS, REGIONS, WITH_STRUCTURES, choose_format
from NativeDLLib.serve.limits import Settings

# In bytes: with less, what failed failed because of it.
_LEAST_FREE = 2**20
_CHUNK = 2**20
_Assignment = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}=[ -~]{1,200}$")]


class Wanted(BaseModel):
    """The parameters of a prediction, named as the options of ``nativedl run``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = Field("auto", max_length=200, description="Of the registry, or auto.")
    series: str | None = Field(
        None, pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="UID, where the files are of several series."
    )
    segmentation: Literal["BINARY", "LABELMAP"] = Field("BINARY", description="Kind of DICOM SEG.")
    keep_empty: bool = Field(False, alias="keep-empty", description="Make a SEG even if nothing was found.")
    rtstruct: bool = Field(False, description="With the form zip: whether an RT Structure Set is in it too.")
    volume: list[_Assignment] = Field([], max_length=8, description="Volume of a series that is several, as KEY=VALUE.")
    set: list[_Assignment] = Field([], max_length=100, description="Parameters of the model, as NAME=VALUE.")
    format: Literal[tuple(FORMATS)] | None = Field(  # type: ignore[valid-type]
        None, description="Form of the answer; without it Accept tells."
    )


async def predict(request: Request, wanted: Wanted, desk: Desk, settings: Settings) -> Response:
    """Segment the series in a request's body; ServeError, with nothing left behind, where that is not possible."""
    form = choose_format(wanted.format, request.headers.get("accept", ""))
    await asyncio.to_thread(_check, wanted)
    desk.check_place()
    folder = Path(tempfile.mkdtemp(prefix="request-", dir=settings.folder))
    try:
        # Who only uploads holds no place.
        files = await receive_files(request, folder / FILES, settings)
        with desk.place():
            names = folder / "files.txt"
            write_names(names, map(str, files))
            output = folder / "result"
            more = form.options or (WITH_STRUCTURES if wanted.rtstruct else ())
            commands = [[*_arguments(wanted, names, output, settings), *more]]
            if form.with_regions:
                places = (f"--files={names}", f"--result={output}", f"--output={folder / REGIONS}")
                commands.append(["regions", *places])
            await desk.run(commands, folder, request)
            path = await asyncio.to_thread(form.make, output)
            if not path.exists():
                await _remove(folder)
                return Response(status_code=204)
            return _FileAnswer(path, folder, form.media_type)
    except BaseException as error:
        full = shutil.disk_usage(folder).free < _LEAST_FREE
        await _remove(folder)
        if full and (isinstance(error, OSError) or (isinstance(error, ServeError) and error.status == 500)):
            raise disk_full() from None
        if isinstance(error, ClientDisconnect):
            raise ServeError(400, "body", "the connection was closed before the body was complete") from None
        raise


def _check(wanted: Wanted) -> None:
    """Refuse before the upload what can be seen to be wrong without it; raises what the registry raises."""
    models = load_models()
    if wanted.model == "auto":
        return
    if wanted.model not in models:
        raise ServeError(404, "no_such_model", "there is no such model; GET /models lists them")
    effective(find_model(models, wanted.model), ("set", parse_assignments(wanted.set)))


def _arguments(wanted: Wanted, names: Path, output: Path, settings: Settings) -> list[str]:
    # With an equals sign nothing that a client writes can become an option of its own.
    arguments = ["run", f"--files={names}", f"--output={output}", f"--device={settings.device}"]
    arguments += [f"--model={wanted.model}", f"--segmentation={wanted.segmentation}"]
    arguments += [f"--series={wanted.series}"] if wanted.series else []
    arguments += ["--keep-empty"] if wanted.keep_empty else []
    arguments += [f"--volume={attribute}" for attribute in wanted.volume]
    return arguments + [f"--set={assignment}" for assignment in wanted.set]


class _FileAnswer(StreamingResponse):
    """Sends a file, then removes the folder of the request, also where the client is gone."""

    def __init__(self, path: Path, folder: Path, media_type: str) -> None:
        self._folder = folder
        headers = {"content-length": str(path.stat().st_size), "cache-control": "no-store"}
        super().__init__(_chunks(path), media_type=media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _remove(self._folder)


async def _remove(folder: Path) -> None:
    await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while data := await asyncio.to_thread(stream.read, _CHUNK):
            yield data
