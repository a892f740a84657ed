"""Provenance of a result: the algorithm, the physician who reviewed it, and the result that was reviewed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
REVIEWED = "reviewed"


@dataclass(frozen=True)
class Algorithm:
    """Algorithm that made a result."""

    name: str  # id of the model in the registry, whose version comes next
    version: str
    title: str  # title for people, which becomes the series description
    source: str  # origin of the algorithm, at most 64 characters
    serial: str  # first digits of the digest of its weights
    parameters: Mapping[str, str] = field(default_factory=dict)  # effective parameters, as texts


@dataclass(frozen=True)
class Predecessor:
    """SEG of the automatic result that was reviewed."""

    sop_class_uid: str
    series_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Review:
    """Review of a result by a physician."""

    reviewer: str  # Person Name (PS3.5 6.2.1), which becomes Content Creator's Name and Reviewer Name
    status: str = REVIEWED  # text of the descriptions: ``reviewed``, which means all of it, or another one
    algorithm_types: tuple[AlgorithmType, ...] = ()  # Segment Algorithm Type of each segment of a SEG
    predecessor: Predecessor | None = None  # automatic result, where it was stored
