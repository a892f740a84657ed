"""Ways in which a peer fails that are dealt with differently."""

from collections.abc import Sequence

from NativeDLLib.core.errors import PacsError


class AssociationLostError(PacsError):
    """The connection ended, or time ran out, before the peer answered."""


class RefusedError(PacsError):
    """The peer answered, with a failure status."""


class NoneAcceptedError(PacsError):
    """The peer accepts none of the proposed contexts; `results` says why, in their order (PS3.8 table 9-18)."""

    def __init__(self, message: str, results: Sequence[int]) -> None:
        super().__init__(message)
        self.results = list(results)
