"""Answers as clients see them: models in the registry's own words, reports, and errors, never a path or a traceback."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from NativeDLLib.registry import Candidate, Model

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
        self.status, self.code, self.headers = status, code, dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return Problem(error=" ".join(str(self).split()), code=self.code).model_dump()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of error answers for OpenAPI; 401, 403 and 500 may always be given."""
    given = sorted({*statuses, 401, 403, 500})
    rows: dict[int | str, dict[str, Any]] = {s: {"model": Problem, "description": _MEANINGS[s]} for s in given}
    if 503 in rows:
        rows[503]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds, where known."}}
    return rows


class Summary(BaseModel):
    """A model, in short."""

    id: str
    version: str
    title: str
    description: str
    modality: str
    body_parts: list[str]
    runtime: str
    segments: list[str] = Field(description="Names of what it finds.")
    intended_use: str


class Models(BaseModel):
    """All models of the registry."""

    models: list[Summary]


class Entry(BaseModel):
    """A model's entry in the registry, without its files."""

    model_config = ConfigDict(extra="allow")

    id: str
    version: str
    title: str
    description: str
    license: str
    intended_use: str
    runtime: str
    input: dict[str, Any]
    output: dict[str, Any]
    parameters: list[dict[str, Any]] = []


class Judgement(BaseModel):
    """Whether a model fits a series, how well, and why or why not."""

    id: str
    fits: bool
    score: int
    reasons: list[str]


class Choice(BaseModel):
    """The model for a series."""

    model: Summary | None = Field(description="The best; null where none fits.")
    reasons: list[str] = Field(description="Why it was chosen.")
    ranking: list[Judgement] = Field(description="All models, the best first.")


class Health(BaseModel):
    """That the server is there, and what it takes."""

    status: str
    version: str
    jobs: int = Field(description="How many predictions run at a time.")
    places: int = Field(description="How many requests may be here at a time, those that wait among them.")
    taken: int = Field(description="How many are here now.")
    max_upload: int = Field(description="Largest body of a prediction, in bytes.")


class Report(BaseModel):
    """The ``report.json`` of a run, without what concerns the server alone."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    outcome: str
    device: str
    model: dict[str, Any]
    segments: list[dict[str, Any]]
    parameters: dict[str, Any]
    series: dict[str, Any]
    warnings: list[str]


def summary(model: Model) -> Summary:
    """Return a model in short."""
    same = {name: getattr(model, name) for name in Summary.model_fields.keys() - {"modality", "body_parts", "segments"}}
    modality, body_parts = model.input.modality, list(model.input.body_parts)
    return Summary(**same, modality=modality, body_parts=body_parts, segments=[s.name for s in model.segments])


def entry(model: Model) -> Entry:
    """Return a model's entry."""
    return Entry(**{key: value for key, value in model.data.items() if key not in ("weights", "card")})


def choice(ranking: list[Candidate]) -> Choice:
    """Return the best of a ranking."""
    best = ranking[0] if ranking and ranking[0].fits else None
    return Choice(
        model=summary(best.model) if best else None,
        reasons=list(best.reasons) if best else [],
        ranking=[Judgement(**candidate.as_json()) for candidate in ranking],
    )
