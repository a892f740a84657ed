"""A registry entry in the making: what is known, where it is from, and which of it nobody may change."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.registry.check_entry import NO_OVERLAP

Place = tuple[str | int, ...]
STEP = {
    **{"name": "step", "type": "number", "default": 0.5, "minimum": 0.25, "maximum": 1.0, "label": "Overlap step"},
    "help": "Distance between patches as a fraction of their size; smaller is slower and smoother.",
}
"""The one parameter that every model has."""

# What follows from the files and the way they are read.
_OURS = ("runtime", "weights", "architecture")
_SEGMENTS = ("output", "segments")


@dataclass
class Draft:
    """A registry entry that may lack fields."""

    entry: dict[str, Any]  # known fields; ``weights`` names nothing yet but an nnU-Net folder's folds and checkpoint
    files: dict[str, Path]  # files of the weights, by their future names
    folder: Path | None = None  # results folder; None where the weights are one file
    fixed: Sequence[Place] = ()  # places that the network itself decides
    offers: dict[Place, Any] = field(default_factory=dict)  # proposals, shown to a person and never taken without one
    told: list[str] = field(default_factory=list)  # remarks for the user
    shape: Sequence[int] = ()  # sizes of a patch along the axes of the network's own array, where the files tell all
    any_slices: bool = False  # whether it takes as many planes along the first of them as it is given
    content: bytes = b""  # of the one file, where it is more than that of the user's
    inputs: int = 0  # channels that the network takes; 0 where its entry's are known
    outputs: int = 0  # channels that the network gives; 0 where its labels are known

    def at(self, place: Place) -> Any:
        """Value at a place, None where nothing is known."""
        here: Any = self.entry
        for step in place:
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def put(self, place: Place, value: Any) -> None:
        """Fill in a place."""
        here: Any = self.entry
        for step in place[:-1]:
            here = here.setdefault(step, {}) if isinstance(here, dict) else here[step]
        here[place[-1]] = value
        self._settle()

    def take(self, place: Place) -> None:
        """Fill in a place with what is offered for it; a code with the side that its name has."""
        self.put(place, self.offers[place])
        modifier = (*place[:-1], "type_modifier")
        if place[-1] == "type" and modifier in self.offers:
            self.put(modifier, self.offers[modifier])

    def merge(self, answers: Any, where: str) -> None:
        """Fill in the places of a fragment of an entry; segments go by their label, null leaves a place open.
        UsageError where it is none, names a segment that the network has not, or contradicts the network.
        """
        if not isinstance(answers, dict):
            raise UsageError(f"{where}: must be an object with fields of a registry entry")
        for key in _OURS:
            if answers.get(key) is not None:
                raise UsageError(f"{where}: {key}: follows from the files of the model; leave it out")
        # It decides which labels there are.
        activation = answers["output"].get("activation") if isinstance(answers.get("output"), dict) else None
        if activation is not None and self.at(("output", "activation")) is None:
            self.put(("output", "activation"), activation)
        merged = _merged(self.entry, copy.deepcopy(answers), where, ())
        for place in self.fixed:
            before, after = self.at(place), _at(merged, place)
            if before != after:
                raise UsageError(f"{where}: {shown(place)}: the network says {before}, not {str(after)[:80]}")
        self.entry = merged
        self._settle(where)

    def _settle(self, where: str = "answers") -> None:
        """Fill in, or offer, what follows from answers: the labels, and the patch (z, y, x)."""
        output, channels = self.entry.get("output", {}), self.at(("input", "channels"))
        if self.inputs and (not isinstance(channels, list) or len(channels) != self.inputs):
            raise UsageError(f"{where}: input.channels: the network takes {self.inputs}")
        if self.outputs and output.get("activation") == "sigmoid" and output["channels"] == self.outputs:
            output["channels"] = self.outputs + 1
            output["segments"] = [*output["segments"], {"label": self.outputs}]
        if output.get("overlap") not in (None, "largest"):
            raise UsageError(f"{where}: output.overlap: {NO_OVERLAP}")
        axes, place = self.at(("input", "axes")), ("input", "patch_size")
        if not self.shape or not isinstance(axes, str) or sorted(axes) != ["x", "y", "z"]:
            return
        patch, given = [self.shape[axes.index(letter)] for letter in "zyx"], self.at(place)
        if self.any_slices:
            self.offers[place] = patch
        elif given is None:
            self.entry["input"]["patch_size"] = patch
        elif given != patch:
            raise UsageError(f"{where}: {shown(place)}: the network says {patch} (z y x), not {str(given)[:80]}")

    def keep(self, names: Sequence[str]) -> None:
        """Leave out all segments but those of these names; UsageError where there is none of a name."""
        rows = self.at(_SEGMENTS)
        there = [str(row.get("name")) for row in rows]
        missing = [name for name in names if name not in there]
        if missing:
            raise UsageError(f"there is no label '{missing[0]}'; there are {', '.join(there[:20])}")
        self.put(_SEGMENTS, [row for row in rows if row.get("name") in names])


def shown(place: Place) -> str:
    """Return a place as ``output.segments[0].type``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def printable(text: str) -> str:
    """Return a text without what a terminal may take for a command."""
    return "".join(character if character.isprintable() else "?" for character in text)


def identifier(name: str) -> str:
    """Return a name as the ``id`` of an entry."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")[:64] or "model"


def _merged(known: Mapping[str, Any], given: Mapping[str, Any], where: str, place: Place) -> dict[str, Any]:
    result = dict(known)
    for key, value in given.items():
        here = (*place, key)
        if value is None:
            continue
        if here == _SEGMENTS and key in known:
            result[key] = _merged_rows(known[key], value, where)
        elif here == ("input", "channels") and isinstance(value, list):
            rows = (row.items() if isinstance(row, dict) else {"name": row}.items() for row in value)
            result[key] = [{name: part for name, part in row if part is not None} for row in rows]
        elif isinstance(known.get(key), dict) and place == ():
            if not isinstance(value, dict):
                raise UsageError(f"{where}: {shown(here)}: must be an object")
            result[key] = _merged(known[key], value, where, here)
        else:
            result[key] = value
    return result


def _merged_rows(known: list[dict[str, Any]], given: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise UsageError(f"{where}: output.segments: must be a list of objects")
    rows = {row["label"]: row for row in known}
    for new in given:
        label = new.get("label")
        # A list or an object is no key.
        if not isinstance(label, int) or label not in rows:
            labels = ", ".join(str(row["label"]) for row in known[:20])
            raise UsageError(f"{where}: output.segments: there is no label {str(label)[:20]}; there are {labels}")
        rows[label] = rows[label] | {key: value for key, value in new.items() if value is not None}
    return list(rows.values())


def _at(entry: Any, place: Place) -> Any:
    return Draft(entry, {}).at(place)
