"""The application: what can be asked, by whom, and how errors are answered. FastAPI describes it at /openapi.json."""

import re
import time
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from NativeDLLib import __version__
from NativeDLLib.core.errors import NativeDLError, UsageError
from NativeDLLib.registry import load_models, rank
from NativeDLLib.serve import answers
from NativeDLLib.serve.answers import ServeError
from NativeDLLib.serve.bodies import DICOM, FORM, RELATED, SCHEMAS, read_attributes
from NativeDLLib.serve.desk import Desk
from NativeDLLib.serve.formats import FORMATS
from NativeDLLib.serve.limits import Settings, is_known
from NativeDLLib.serve.predict import Wanted, predict

_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
_BEARER = HTTPBearer(auto_error=False)
_CODES: dict[int, answers.Code] = {404: "not_found", 405: "method_not_allowed"}


def make_app(settings: Settings, desk: Desk) -> FastAPI:
    """Make the application of a server."""
    app = FastAPI(
        title="NativeDL",
        version=__version__,
        description="Chooses a segmentation model for a DICOM series and runs it. Not for clinical use.",
        docs_url=None,  # their pages would load scripts from the internet
        redoc_url=None,
    )
    _add_error_handlers(app, settings)
    _add_routes(app, settings, desk)
    app.add_middleware(_Gate, settings=settings)
    return app


def _add_routes(app: FastAPI, settings: Settings, desk: Desk) -> None:
    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None or not is_known(given.credentials, settings.tokens):
            message = "send a token that this server knows: Authorization: Bearer TOKEN"
            raise ServeError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})

    guarded = [Depends(check)] if settings.tokens else []

    @app.get("/health", responses=answers.documented())
    def health() -> answers.Health:
        """Tell that the server is there; this alone needs no token."""
        return answers.Health(
            status="ok",
            version=__version__,
            jobs=settings.jobs,
            places=settings.jobs + settings.queue,
            taken=desk.taken,
            max_upload=settings.max_upload,
        )

    @app.get("/models", dependencies=guarded, responses=answers.documented())
    def models() -> answers.Models:
        """List the models."""
        return answers.Models(models=[answers.summary(model) for model in load_models().values()])

    @app.get("/models/{id}", dependencies=guarded, responses=answers.documented(404, 422))
    def model(id: str) -> answers.Entry:
        """Tell everything about a model, its parameters among it."""
        found = load_models().get(id)
        if found is None:
            raise ServeError(404, "no_such_model", "there is no such model; GET /models lists them")
        return answers.entry(found)

    bodies = {name: {"schema": schema} for name, schema in SCHEMAS.items()}

    @app.post(
        "/select",
        dependencies=guarded,
        responses=answers.documented(400, 408, 413, 415, 422),
        openapi_extra={"requestBody": {"required": True, "content": bodies}},
    )
    async def select(request: Request) -> answers.Choice:
        """Choose the model for a series by its attributes."""
        return answers.choice(rank(load_models().values(), await read_attributes(request)))

    schema = {"type": "object", "properties": {"files": _FILES}, "required": ["files"], "additionalProperties": False}
    uploads = {FORM: {"schema": schema}, f'{RELATED}; type="{DICOM}"': {"schema": _FILES}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {form.media_type: binary for form in FORMATS.values() if form.media_type != "application/json"}

    @app.post(
        "/predict",
        dependencies=guarded,
        response_model=answers.Report,
        responses={
            200: {"description": "The result, as the parameter format or Accept asks for it.", "content": content},
            204: {"description": "Nothing was found, so there is no DICOM object (keep-empty makes one)."},
            **answers.documented(400, 404, 406, 408, 413, 415, 422, 503, 507),
        },
        openapi_extra={"requestBody": {"required": True, "content": uploads}},
    )
    async def predict_series(request: Request, wanted: Annotated[Wanted, Query()]) -> Response:
        """Segment the series whose instances are the parts of the body."""
        return await predict(request, wanted, desk, settings)


def _add_error_handlers(app: FastAPI, settings: Settings) -> None:
    def answer(error: ServeError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, error.headers)

    @app.exception_handler(ServeError)
    def serve_error(_: Request, error: ServeError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"][1:])
        return answer(ServeError(422, "usage", f"{place}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    def http_error(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "usage")
        return answer(ServeError(error.status_code, code, str(error.detail), error.headers))

    @app.exception_handler(NativeDLError)
    def own_error(_: Request, error: NativeDLError) -> JSONResponse:
        if isinstance(error, UsageError):
            return answer(ServeError(400, "usage", str(error)))
        settings.log({"event": "failure", "reason": str(error)})
        return answer(ServeError(500, "server", "the registry of this server cannot be used; its log says why"))

    # The last line of defence: what an unforeseen exception says may be about a patient, its type is not.
    @app.exception_handler(Exception)
    def defect(_: Request, error: Exception) -> JSONResponse:
        settings.log({"event": "failure", "reason": f"unexpected {type(error).__name__}; this is a defect"})
        return answer(ServeError(500, "server", "an unexpected error; the server's log says more"))


class _Gate:
    """Middleware around the whole application: it keeps web pages out, and logs a line without patient data."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
