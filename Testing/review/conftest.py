"""A real result, ready to be edited."""

from reviewed import _result, accepted, reviewed

__all__ = ["_result", "accepted", "reviewed"]
