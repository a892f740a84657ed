"""A real result of a run, and where it is approved."""

from reviewed import _result, accepted, reviewed

__all__ = ["_result", "accepted", "reviewed"]
