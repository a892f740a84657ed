"""Counting the levels of vertebrae from the sacrum or from the last ribs."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

LEVELS = (
    *(f"L{number}" for number in range(5, 0, -1)),
    *(f"T{number}" for number in range(12, 0, -1)),
    *(f"C{number}" for number in range(7, 0, -1)),
)
"""From the bottom up."""
_NUMBERED = "numbered from the top of the image"
_LAST_WITH_RIBS = LEVELS.index("T12")
_Counted = list[int | None]


@dataclass(frozen=True)
class Evidence:
    """Evidence about the vertebrae of an image, each tuple from the bottom up. Whether the `sacrum` follows below the
    first; which have `ribs`, are `complete` within the image, and are certainly one vertebra (`sure`); how many were
    not found between each and the one below it, None where that is not sure.
    """

    sacrum: bool
    ribs: tuple[bool, ...]
    complete: tuple[bool, ...]
    sure: tuple[bool, ...]
    missing_below: tuple[int | None, ...]


@dataclass(frozen=True)
class Named:
    """Levels from the bottom up, None where one is not certain; what they were counted from; what to tell the user."""

    levels: tuple[str | None, ...]
    known_from: Literal["sacrum", "ribs"] | None
    notes: tuple[str, ...]


def levels_of(evidence: Evidence) -> Named:
    """Name the levels of vertebrae that are certain. Levels are counted from the vertebra above the sacrum and from the
    last one with ribs, as far as it is sure that no vertebra was missed and none is two. Where the two ways contradict
    each other, no level is certain.
    """
    last = _last_with_ribs(evidence)
    by_sacrum = _counted(evidence, 0, 0) if evidence.sacrum else []
    by_ribs = _counted(evidence, last, _LAST_WITH_RIBS) if last is not None else []
    places = [second if first is None else first for first, second in zip_longest(by_sacrum, by_ribs)]
    if by_sacrum and by_ribs and _contradict(by_sacrum, by_ribs, evidence):
        return _unnamed("counted from the sacrum and from the last ribs they differ (13 thoracic or 6 lumbar "
                        "vertebrae?)", evidence)  # fmt: skip
    if not evidence.sacrum and last is None:
        return _unnamed("neither the sacrum nor the last ribs can be made out", evidence)
    if any(place is not None and not 0 <= place < len(LEVELS) for place in places):
        return _unnamed("counting gives more vertebrae than there are", evidence)
    levels = tuple(None if place is None else LEVELS[place] for place in places)
    if not any(levels):
        return _unnamed("the vertebrae that they are counted from could not be told apart", evidence)
    notes = [
        f"no body was found between {below} and {above}, where there is room for one"
        for below, above, missing in zip(levels, levels[1:], evidence.missing_below[1:], strict=False)
        if missing and below and above
    ]
    if unknown := levels.count(None):
        notes.append(f"the levels of {unknown} vertebrae are not certain; these are {_NUMBERED}")
    known: Literal["sacrum", "ribs"] = "sacrum" if evidence.sacrum and levels[0] else "ribs"
    return Named(levels, known, tuple(notes))


def _unnamed(why: str, evidence: Evidence) -> Named:
    note = f"levels unknown: {why}; vertebrae are {_NUMBERED}"
    return Named((None,) * len(evidence.sure), None, (note,))


def _counted(evidence: Evidence, start: int, level: int) -> _Counted:
    """Index in LEVELS of each vertebra, counted up and down from one; None beyond the first that is not sure."""
    places: _Counted = [None] * len(evidence.sure)
    if evidence.sure[start]:
        places[start] = level
    for indices, step in ((range(start + 1, len(places)), 1), (range(start - 1, -1, -1), -1)):
        for index in indices:
            before, missing = places[index - step], evidence.missing_below[max(index, index - step)]
            if before is None or missing is None or not evidence.sure[index]:
                break
            places[index] = before + step * (1 + missing)
    return places


def _contradict(by_sacrum: _Counted, by_ribs: _Counted, evidence: Evidence) -> bool:
    """Whether two counts differ, or do not meet over the vertebrae between them whose levels are not certain."""
    if any(a != b for a, b in zip(by_sacrum, by_ribs, strict=True) if a is not None and b is not None):
        return True
    lower = max((i for i, place in enumerate(by_sacrum) if place is not None), default=None)
    upper = min((i for i, place in enumerate(by_ribs) if place is not None), default=None)
    if lower is None or upper is None or upper <= lower:
        return False
    between = evidence.missing_below[lower + 1 : upper + 1]
    room = (by_ribs[upper] or 0) - (by_sacrum[lower] or 0)
    # More may have been missed than is known, but not fewer found than there are.
    return room < upper - lower or (None not in between and room != upper - lower + sum(n or 0 for n in between))


def _last_with_ribs(evidence: Evidence) -> int | None:
    """Return the index of the lowest vertebra with ribs; None where not a whole one without any follows below it."""
    # A transverse process may be taken for a rib: the whole vertebra above it has none.
    go_on = [has or not whole for has, whole in zip(evidence.ribs[1:], evidence.complete[1:], strict=True)] + [True]
    last = next((i for i, has in enumerate(evidence.ribs) if has and go_on[i]), None)
    if not last or evidence.missing_below[last] != 0:
        return None
    return last if evidence.complete[last - 1] and evidence.sure[last - 1] else None
