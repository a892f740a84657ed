"""Provenance of a result: the algorithm, the physician who reviewed it, and the result that was reviewed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from NativeDLLib.core.errors import UsageError

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
Kind = Literal["BINARY", "LABELMAP"]
REVIEWED = "reviewed"
_LONGEST = 64
_PREFIXES = {"dr", "prof", "pd", "med", "hc", "dipl", "ing", "mr", "mrs", "ms", "herr", "frau", "sir", "dame"}
_SUFFIXES = {"md", "phd", "do", "dds", "msc", "bsc", "mph", "frcr", "frcp", "facr", "jr", "sr", "ii", "iii"}


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


def person_name(text: str) -> str:
    """Person Name of a text with carets, or of ``Dr. Jane Doe``, ``Doe, Jane`` or ``Jane van der Doe, MD``. UsageError,
    without the name itself, where it is empty, too long, or has characters that no name can have.
    """
    name = " ".join(text.split())
    if not name.strip("^= "):
        raise UsageError("the reviewer's name is empty; write Doe^Jane or Jane Doe")
    if "\\" in name or not name.isprintable():
        raise UsageError("the reviewer's name: it may hold neither backslashes nor control characters")
    groups = name.split("=")
    if "^" not in name and len(groups) == 1:
        groups = [_components(name)]
    if len(groups) > 3 or any(len(group.split("^")) > 5 for group in groups):
        raise UsageError("the reviewer's name: it has at most 5 parts between ^ (family^given^middle^prefix^suffix)")
    if max(len(group) for group in groups) > _LONGEST:
        raise UsageError(f"the reviewer's name: it has at most {_LONGEST} characters")
    return "=".join(groups)


def _components(name: str) -> str:
    """Components of a name as a person writes it: family, given, middle, prefix, suffix."""
    before, _, after = (part.strip() for part in name.partition(","))
    is_suffix = all(_plain(word) in _SUFFIXES for word in after.split())
    words = (before if is_suffix else after).split()
    count = 0
    while count < len(words) - 1 and _plain(words[count]) in _PREFIXES:
        count += 1
    prefix, given = " ".join(words[:count]), words[count:]
    family, suffix = before, ""
    if is_suffix:
        # Particles such as "van der" belong to the family name.
        start = len(given) - 1
        while start > 1 and given[start - 1].islower():
            start -= 1
        family, given, suffix = " ".join(given[start:]), given[:start], after
    parts = [family, given[0] if given else "", " ".join(given[1:]), prefix, suffix]
    return "^".join(parts).rstrip("^")


def _plain(word: str) -> str:
    return word.replace(".", "").lower()
