"""Models over HTTP: the registry's own words, without the places of their files."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from NativeDLLib.registry import Candidate, Model


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
