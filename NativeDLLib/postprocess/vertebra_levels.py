"""Counting the levels of vertebrae from the sacrum or from the last ribs."""

from dataclasses import dataclass
from typing import Literal

LEVELS = (
    *(f"L{number}" for number in range(5, 0, -1)),
    *(f"T{number}" for number in range(12, 0, -1)),
    *(f"C{number}" for number in range(7, 0, -1)),
)
"""From the bottom up."""
UNKNOWN = (
    "levels unknown: neither the sacrum nor the last ribs are in the image; vertebrae are numbered from the top of the "
    "image"
)
_LAST_WITH_RIBS = LEVELS.index("T12")


@dataclass(frozen=True)
class Evidence:
    """Evidence about the vertebrae of an image, from the bottom up.

    Attributes
    ----------
    sacrum
        Whether the sacrum follows below the first.
    ribs
        Vertebrae with ribs.
    complete
        Vertebrae that the image's border does not cut.
    missing_below
        Number of vertebrae not found between each and the one below it.
    """

    sacrum: bool
    ribs: tuple[bool, ...]
    complete: tuple[bool, ...]
    missing_below: tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """Levels from the bottom up, none where they are not known; what they were counted from; what to tell the user."""

    levels: tuple[str, ...]
    known_from: Literal["sacrum", "ribs"] | None
    notes: tuple[str, ...]


def levels_of(evidence: Evidence) -> Named:
    """Name the levels of vertebrae."""
    places = [0]
    for missing in evidence.missing_below[1:]:
        places.append(places[-1] + 1 + missing)
    by_ribs = _lowest_by_ribs(evidence, places)
    lowest = 0 if evidence.sacrum else by_ribs
    if lowest is None:
        return Named((), None, (UNKNOWN,))
    if lowest < 0 or lowest + places[-1] >= len(LEVELS):
        return Named(
            (), None, (f"levels unknown: counting gives more vertebrae than there are; {UNKNOWN.split('; ')[1]}",)
        )
    notes = []
    if evidence.sacrum and by_ribs not in (None, 0):
        assert by_ribs is not None
        other = LEVELS[by_ribs] if by_ribs > 0 else "a sixth lumbar vertebra"
        notes.append(
            f"the vertebra above the sacrum is called L5; the last ribs would make it {other} "
            "(13 thoracic or 6 lumbar vertebrae?)"
        )
    notes += [
        f"no body was found between {LEVELS[lowest + places[i - 1]]} and {LEVELS[lowest + places[i]]}, "
        "where there is room for one"
        for i in range(1, len(places))
        if evidence.missing_below[i]
    ]
    known: Literal["sacrum", "ribs"] = "sacrum" if evidence.sacrum else "ribs"
    return Named(tuple(LEVELS[lowest + place] for place in places), known, tuple(notes))


def _lowest_by_ribs(evidence: Evidence, places: list[int]) -> int | None:
    """Return the index of the lowest vertebra's level by the last ribs; negative below L5; None without evidence."""
    last = next((i for i in range(len(places)) if evidence.ribs[i] and _ribs_go_on(evidence, i + 1)), None)
    if last is None or not any(evidence.complete[:last]):
        return None
    return _LAST_WITH_RIBS - places[last]


def _ribs_go_on(evidence: Evidence, index: int) -> bool:
    """Whether nothing speaks against ribs at a vertebra: that above a transverse process taken for a rib has none."""
    return index == len(evidence.ribs) or evidence.ribs[index] or not evidence.complete[index]
