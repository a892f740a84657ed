"""Watch rules: which model runs by itself on a series that arrives in Slicer's DICOM database.

Nothing is watched unless the user has written ``~/.nativedl/watch.json`` and switched it on there.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import partial
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import NativeDLError, UsageError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.places import kept

# What is made from images. A rule that took them would, with our own results, feed itself.
_NO_IMAGES = {"SEG", "SR", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "PR", "KO", "DOC", "REG", "FID", "RWV", "PLAN"}
_PORTAL = {"Modality": "CT", "SeriesDescription": ["*portal*", "*venous*"]}
_RULE = {"name": "Livers in the portal venous phase", "model": "liver-ct-demo", "when": _PORTAL}
_EXAMPLE = {"enabled": False, "rules": [_RULE]}


@dataclass(frozen=True)
class Rule:
    """A model to be run where every attribute in `when`, a DICOM keyword, matches one of its patterns."""

    name: str
    model: str
    when: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any] = field(default_factory=dict)


def load_rules(path: Path | None = None) -> list[Rule]:
    """Rules in force in ``~/.nativedl/watch.json`` or another file; none where it is missing or not ``enabled``.
    UsageError names the place where the file is not as ``Resources/watch.schema.json`` asks, names a rule twice, or a
    word that is no DICOM keyword.
    """
    file = path or kept("watch.json")
    if not file.exists():
        return []
    data = read_json(file, UsageError)
    if isinstance(data, dict) and data.get("enabled", False) is False:
        return []
    check_schema(data, "watch.schema.json", file, UsageError, "rules")
    rules: list[Rule] = []
    for index, entry in enumerate(data["rules"]):
        where = f"{file}: rules[{index}] ({entry['name']})"
        if entry["name"] in {rule.name for rule in rules}:
            raise UsageError(f"{where}.name: another rule has this name already")
        for keyword in entry["when"]:
            if not _is_keyword(keyword):
                raise UsageError(f"{where}.when: '{keyword}' is no DICOM keyword")
        when = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in entry["when"].items()}
        rules.append(Rule(entry["name"], entry["model"], when, entry.get("parameters", {})))
    return rules


def rules_for_panel() -> tuple[list[Rule], str]:
    """Return the rules in force, and what is wrong with their file."""
    try:
        return load_rules(), ""
    except NativeDLError as error:
        return [], str(error)


def set_enabled(enabled: bool) -> None:
    """Switch the user's rules on or off; UsageError where the file is wrong, or only now written as an example."""
    new = not kept("watch.json").exists()
    file = written_rules_file()
    data = read_json(file, UsageError)
    check_schema(data, "watch.schema.json", file, UsageError, "rules")
    if new and enabled:
        raise UsageError(f"{file}: holds only an example yet; edit its rules first")
    write_json(file, data | {"enabled": enabled})


def written_rules_file() -> Path:
    """Return the file with the user's rules; where there is none, write one with an example, switched off."""
    file = kept("watch.json")
    if not file.exists():
        write_json(file, _EXAMPLE)
    return file


def configuration(rules: Sequence[Rule], value_of: Callable[[str], str]) -> dict[str, Any] | None:
    """Model and parameters of the first rule that matches a series, or None; objects made from images never match.
    `value_of` gives an attribute's value by its tag, ``gggg,eeee``, as Slicer's database does: empty where it is
    absent, and several values, of which one is enough, separated by backslashes.
    """
    from pydicom.datadict import tag_for_keyword

    keywords = {"Modality", *(keyword for rule in rules for keyword in rule.when)}
    tags = {keyword: tag_for_keyword(keyword) or 0 for keyword in keywords}
    values = {keyword: value_of(f"{tag >> 16:04x},{tag & 0xFFFF:04x}") for keyword, tag in tags.items()}
    modality = values["Modality"].strip().upper()
    if not modality or modality in _NO_IMAGES:
        return None
    rule = next((rule for rule in rules if _matches(rule, values)), None)
    return None if rule is None else {"model": rule.model, "parameters": dict(rule.parameters)}


class Arrivals:
    """Series that are being imported; one is complete when its number of files has not changed for a while. ``queue``
    has the files and the configuration of each complete series with a rule, the oldest first.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.queue: list[tuple[list[str], dict[str, Any]]] = []

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, series_uid: str) -> None:
        """Remember a series of which the first image has come."""
        self._counts[series_uid] = -1

    def enqueue(
        self, rules: Sequence[Rule], files_of: Callable[[str], Sequence[str]], value_of: Callable[[str, str], str]
    ) -> None:
        """Put the complete series that a rule is for into the queue. `files_of` gives the files of a series by its UID,
        `value_of` an attribute's value by file and tag, ``gggg,eeee``.
        """
        for series_uid, before in list(self._counts.items()):
            files = [str(file) for file in files_of(series_uid)]
            self._counts[series_uid] = len(files)
            if len(files) == before:
                del self._counts[series_uid]
                # A series that was deleted meanwhile is forgotten.
                found = configuration(rules, partial(value_of, files[0])) if files else None
                if found is not None:
                    self.queue.append((files, found))


def _matches(rule: Rule, values: Mapping[str, str]) -> bool:
    for keyword, patterns in rule.when.items():
        # The whole value and each of several, without the spaces that pad them.
        texts = [text.strip() for text in (values[keyword], *values[keyword].split("\\"))]
        # The library's patterns try one way only to fit a star, so that none takes long. A bracket is a character here.
        expression = "|".join(translate(pattern.strip().replace("[", "[[]")) for pattern in patterns)
        if not any(re.fullmatch(expression, text, re.IGNORECASE) for text in texts):
            return False
    return True


def _is_keyword(text: str) -> bool:
    try:
        from pydicom.datadict import tag_for_keyword
    except ImportError:
        # The schema has seen that it looks like one.
        return True
    return tag_for_keyword(text) is not None
