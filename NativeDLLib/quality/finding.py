"""Findings of the gates: a sentence for the user, two words for the list of a PACS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FindingCode = Literal[
    "nothing-found", "not-hounsfield", "orientation-suspicious", "implausible-volume", "implausible-size",
    "out-of-order", "not-told-apart", "cut-by-border", "cut-by-field-of-view", "cut-by-box",
]  # fmt: skip
# The most serious first.
_SHORT: dict[FindingCode, str] = {
    "nothing-found": "nothing found",
    "not-hounsfield": "not HU",
    "orientation-suspicious": "orientation",
    "out-of-order": "level",
    "not-told-apart": "not told apart",
    "implausible-size": "size",
    "implausible-volume": "volume",
    "cut-by-border": "cut by border",
    "cut-by-field-of-view": "cut by border",
    "cut-by-box": "cut by box",
}
# More would leave no room for the title.
_NAMED = 2
# Characters of a Long String and of a Short Text (PS3.5 6.2).
_LONGEST, _LONGEST_TEXT = 64, 1024


@dataclass(frozen=True)
class Finding:
    """One observation to be checked."""

    code: FindingCode  # stable, for programs
    message: str  # one line, in ASCII but for the segment's name, with figures and units
    segment: str | None = None  # name of the segment; None for the whole image


def titled(title: str, findings: Sequence[Finding], status: str = "") -> str:
    """Title with the findings to check and a status, within a Long String of 64 characters. ``Liver on CT; check:
    volume, cut by border (reviewed)`` is an example in a list of series.
    """
    codes = {finding.code for finding in findings}
    found = list(dict.fromkeys(short for code, short in _SHORT.items() if code in codes))
    more = f" +{len(found) - _NAMED}" if len(found) > _NAMED else ""
    ending = f"; check: {', '.join(found[:_NAMED])}{more}" if found else ""
    ending += f" ({status})" if status else ""
    return title[: _LONGEST - len(ending)] + ending


def sentences(findings: Sequence[Finding], segment: str | None) -> str:
    """Messages that concern a segment, or with None the whole image, as a Short Text."""
    return "; ".join(finding.message for finding in findings if finding.segment == segment)[:_LONGEST_TEXT]
