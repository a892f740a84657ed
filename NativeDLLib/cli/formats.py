"""The option ``--format``: which DICOM objects a segmentation is stored as."""

from __future__ import annotations

import argparse

_SEG, _BOTH = "seg", "seg,rtstruct"


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    help_text = f"DICOM objects to write: {_SEG} (default), or {_BOTH} for an RT Structure Set too"
    parser.add_argument("--format", choices=[_SEG, _BOTH], default=_SEG, help=help_text)


def wants_structures(args: argparse.Namespace) -> bool:
    """Tell whether an RT Structure Set is wanted."""
    return bool(args.format == _BOTH)
