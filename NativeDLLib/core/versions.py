"""Versions of the packages that a result depends on."""

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numpy", "pydicom", "highdicom", "SimpleITK", "torch", "onnxruntime", "nnunetv2")


def versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Return the versions of packages, by default those that a result depends on, of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
