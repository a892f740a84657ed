"""Provenance of a result: the algorithm, the physician who reviewed it, and the result that was reviewed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
REVIEWED = "reviewed"


@dataclass(frozen=True)
class Algorithm:
    """Algorithm that made a result.

    Attributes
    ----------
    name, version
        Id and version of the model in the registry.
    title
        Title for people, which becomes the series description.
    source
        Origin of the algorithm, at most 64 characters.
    serial
        First digits of the digest of its weights.
    parameters
        Effective parameters, as texts.
    """

    name: str
    version: str
    title: str
    source: str
    serial: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Predecessor:
    """SEG of the automatic result that was reviewed."""

    sop_class_uid: str
    series_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Review:
    """Review of a result by a physician.

    Attributes
    ----------
    reviewer
        Person Name (PS3.5 6.2.1), which becomes the Content Creator's Name and the Reviewer Name.
    status
        Text of the descriptions, such as ``reviewed``, which means all of it, or ``partly reviewed``.
    algorithm_types
        Segment Algorithm Type of each segment of a SEG.
    predecessor
        Automatic result, where it was stored.
    """

    reviewer: str
    status: str = REVIEWED
    algorithm_types: tuple[AlgorithmType, ...] = ()
    predecessor: Predecessor | None = None
