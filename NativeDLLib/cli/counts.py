"""Whole numbers on the command line, as `type` of an argument."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """Return a number of at least 1."""
    return _at_least(1, text)


def count_or_none(text: str) -> int:
    """Return a number of at least 0."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{text}: at least {least}")
    return number
