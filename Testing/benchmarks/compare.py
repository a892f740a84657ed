"""Runs of ours and of others in turn, and the ratios of what they took."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.measure import Cost, RunError

Run = Callable[[int], Cost]
Quantity = Literal["seconds", "process_seconds", "cpu_seconds", "peak_mib"]


class MissingError(Exception):
    """A program or an input that a benchmark needs is not there; the message says how to get it."""


@dataclass(frozen=True)
class Setting:
    """How the benchmarks are run: the folder for inputs and outputs, runs of each, and whether all is to be tiny."""

    folder: Path
    runs: int = 3
    quick: bool = False


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest of some figures."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return that of at least one figure."""
        return cls(min(values), statistics.median(values), max(values))


@dataclass(frozen=True)
class Comparison:
    """Ours and another's runs of one case, each pair one after the other.

    Attributes
    ----------
    time
        Which time is compared: that of whole processes where the other is a program, that of the task where both are
        calls in one.
    facts
        What else was found, for the JSON.
    """

    case: str
    peer: str
    ours: Sequence[Cost]
    theirs: Sequence[Cost]
    time: Quantity = "process_seconds"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def ratio(self, quantity: Quantity) -> Spread:
        """Return ours / theirs, pair by pair."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return Spread.of([getattr(our, quantity) / getattr(their, quantity) for our, their in pairs])

    def as_json(self) -> dict[str, Any]:
        """Return everything, with the ratios."""
        return {
            "case": self.case,
            "peer": self.peer,
            "time": self.time,
            "ratio_time": asdict(self.ratio(self.time)),
            "ratio_cpu_seconds": asdict(self.ratio("cpu_seconds")),
            "ratio_peak_mib": asdict(self.ratio("peak_mib")),
            "ours": [asdict(cost) for cost in self.ours],
            "theirs": [asdict(cost) for cost in self.theirs],
            "facts": dict(self.facts),
        }


@dataclass
class Result:
    """What a benchmark found.

    Attributes
    ----------
    missing
        Why others could not be compared with, a sentence each.
    tables
        What is printed besides the comparisons: a title, the names of the columns, and the rows.
    facts
        What belongs to no comparison, for the JSON.
    """

    comparisons: list[Comparison] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[object]]]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return comparisons and facts."""
        compared = [comparison.as_json() for comparison in self.comparisons]
        return {"comparisons": compared, "missing": self.missing, **self.facts}

    def note(self, reason: str) -> None:
        """Note, once, why something could not be compared."""
        if reason not in self.missing:
            self.missing.append(reason)


def in_turn(ours: Run, peers: Mapping[str, Run], runs: int, result: Result) -> tuple[list[Cost], dict[str, list[Cost]]]:
    """Run ours, then each of the others, and all over again; one that is missing or fails is noted in the result.

    Returns
    -------
    ours, theirs
        What the runs took, in their order; the second by the other's name.
    """
    own: list[Cost] = []
    theirs: dict[str, list[Cost]] = {name: [] for name in peers}
    for number in range(runs):
        own.append(ours(number))
        for name in list(theirs):
            try:
                theirs[name].append(peers[name](number))
            except (MissingError, RunError) as error:
                result.note(str(error))
                del theirs[name]
    return own, theirs
