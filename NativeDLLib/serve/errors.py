"""Errors as clients see them: one line and a word for it, never a path or a traceback."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

Code = Literal[
    "usage", "body", "unauthorized", "forbidden", "not_found", "no_such_model", "method_not_allowed", "not_acceptable",
    "too_slow", "too_large", "media_type", "input", "no_model_fits", "server", "busy", "timeout", "stopping", "storage",
]  # fmt: skip

_MEANINGS = {
    400: "A parameter or the body is wrong.",
    401: "The token is missing or wrong.",
    403: "The request came through a web page, or under another name than this server's.",
    404: "There is no such model.",
    406: "The result cannot be had in a form that Accept allows.",
    408: "The body came too slowly.",
    413: "The body is too large, or segmenting it takes more memory than a request may have.",
    415: "The body is of another type than the description says.",
    422: "The series cannot be segmented truthfully, no model fits it, or a parameter is not of its schema.",
    500: "The server's registry, a model or the server itself is broken; its log says more.",
    503: "The server is busy, is being stopped, or gave up after its time limit; try again later.",
    507: "The server's temporary disk is full.",
}


class Problem(BaseModel):
    """The body of every answer that is an error."""

    error: str = Field(description="What is wrong and what to do, in one line.")
    code: Code = Field(description="What kind of error it is, for a program.")


class ServeError(Exception):
    """Ends a request with a status and a `Problem`."""

    def __init__(self, status: int, code: Code, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return Problem(error=" ".join(str(self).split()), code=self.code).model_dump()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of error answers for OpenAPI; 401, 403 and 500 may always be given."""
    rows: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 401, 403, 500}):
        rows[status] = {"model": Problem, "description": _MEANINGS[status]}
    if 503 in rows:
        rows[503]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds, where known."}}
    return rows
