"""Small series, to be stored."""

from to_store import make_series, progress

__all__ = ["make_series", "progress"]
