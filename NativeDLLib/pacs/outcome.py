"""A peer's answer for one object, its status codes in words, and the ways in which a peer fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.core.errors import PacsError

DUPLICATE = 0x0111
# PS3.4 table B.2-1, PS3.18 table I.2-2.
_WARNINGS = (0xB000, 0xB006, 0xB007)
_STORE = {
    0x0000: "success",
    0x0110: "the peer failed to process it",
    0x0111: "the peer had it already",
    0x0117: "the peer finds its SOP Instance UID invalid",
    0x0122: "the peer does not take its SOP class",
    0x0124: "the peer does not allow us to store it",
    0x0210: "the peer sees a message ID used twice",
    0x0211: "the peer does not know the operation",
    0x0212: "the peer finds the request malformed",
    0xB000: "stored, but the peer changed elements of it (coercion)",
    0xB006: "stored, but the peer discarded elements of it",
    0xB007: "stored, but the peer says that it does not match its SOP class",
    0xC122: "the peer does not take its transfer syntax",
}
_RANGES = (
    (0xA700, 0xA7FF, "the peer is out of resources"),
    (0xA900, 0xA9FF, "the peer says that it does not match its SOP class"),
    (0xB000, 0xBFFF, "a warning that the standard does not have"),
    (0xC000, 0xCFFF, "the peer cannot understand it"),
)
_QUERY = {
    0x0122: "it does not support this query",
    0x0124: "it does not allow us to ask",
    0xA700: "it is out of resources",
    0xA701: "it is out of resources and cannot count the matches",
    0xA702: "it is out of resources and cannot perform the sub-operations",
    0xA801: "it does not know our AE title as a move destination, or cannot reach us there",
    0xA900: "it says that the query does not match its model",
    0xB000: "some sub-operations failed",
    0xFE00: "it was cancelled",
}


@dataclass(frozen=True)
class StoreOutcome:
    """A peer's answer for one object."""

    path: Path
    sop_instance_uid: str
    status: int | None  # of C-STORE, or the failure reason of STOW-RS; None without an answer
    ok: bool
    message: str
    unclear: bool = False  # the connection was lost while the object was on its way

    @classmethod
    def answered(cls, path: Path, uid: str, status: int, comment: str = "") -> "StoreOutcome":
        """Outcome of a status: success, a warning of the standard and a duplicate mean that the peer has the object."""
        ok = status in (0x0000, DUPLICATE, *_WARNINGS)
        return cls(path, uid, status, ok, explain_store(status, comment))


class AssociationLostError(PacsError):
    """The connection ended, or time ran out, before the peer answered."""


class RefusedError(PacsError):
    """The peer answered, with a failure status."""


class NoneAcceptedError(PacsError):
    """The peer accepts none of the proposed contexts; `results` says why, in their order (PS3.8 table 9-18)."""

    def __init__(self, message: str, results: Sequence[int]) -> None:
        super().__init__(message)
        self.results = list(results)


def explain_store(status: int, comment: str = "") -> str:
    """Say in words what a C-STORE status (PS3.4 table B.2-1) or STOW-RS failure reason (PS3.18 table I.2-2) means."""
    words = _STORE.get(status) or next((text for low, high, text in _RANGES if low <= status <= high), "unknown status")
    return _with_code(words, status, comment)


def explain_query(status: int, comment: str = "") -> str:
    """Say in words what a C-FIND, C-GET or C-MOVE status (PS3.4 tables C.4-1 to C.4-3) means."""
    words = _QUERY.get(status) or ("it cannot process the request" if status >= 0xC000 else "unknown status")
    return _with_code(words, status, comment)


def _with_code(words: str, status: int, comment: str) -> str:
    """Add the number, which the peer's administrator looks for, and the peer's own comment made printable."""
    comment = "".join(character for character in comment if character.isprintable()).strip()
    return f"{words} (status 0x{status:04X}{f': {comment}' if comment else ''})"
