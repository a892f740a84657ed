"""Packages of ``pyproject.toml`` that this interpreter lacks, for a person's consent; none of them is imported here."""

import importlib
import importlib.metadata
import importlib.util
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement as Declared
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

BASE_EXTRAS = frozenset({"torch", "onnx"})
"""Extras of the bundled models; those of another runtime are asked for when such a model is chosen."""

# Slicer's PyTorch extension installs the builds that fit the GPU.
_PYTORCH = ("torch", "torchvision", "torchaudio")
# Parts of Slicer, some of them built for it; another build in their place would break it.
_SLICERS_OWN = ("numpy", "scipy", "SimpleITK", "vtk", "pydicom", "highdicom", "Pillow", "requests", "dicomweb-client")
# Other builds of the same module: whoever has one of them needs no other.
_INSTEAD = {"onnxruntime": ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")}


@dataclass(frozen=True)
class Requirement:
    """A package that is missing or too old."""

    name: str
    specifier: str  # as pip takes it, such as ``pynetdicom>=3.0``
    size: str  # that of its download, in words
    purpose: str
    via_pytorch_extension: bool  # whether Slicer's PyTorch extension installs it


def missing(extras: Iterable[str] = ()) -> list[Requirement]:
    """Missing requirements of the base list and of extras, in the order of ``pyproject.toml``; KeyError else."""
    # What pip has installed since this process started is to be seen.
    importlib.invalidate_caches()
    document = tomllib.loads(project_file().read_text(encoding="utf-8"))
    found: dict[str, Declared] = {}
    for declared in _declared(document["project"], extras):
        if not _is_satisfied(declared):
            # Several extras may ask for one package, each for versions of its own.
            declared.specifier &= found.get(declared.name, declared).specifier
            found[declared.name] = declared
    rows = []
    for name, declared in found.items():
        size, purpose = document["tool"]["nativedl"]["packages"].get(name, ("", "developing NativeDL"))
        rows.append(Requirement(name, str(declared), size and f"about {size}", purpose, name in _PYTORCH))
    return rows


def plan(wanted: Sequence[Requirement]) -> tuple[str | None, list[str], list[str]]:
    """Plan of an installation: versions of torch for the PyTorch extension, None where it is not wanted; requirements
    for pip; packages that pip must leave as they are, which are torch's and those that Slicer brings itself.
    """
    torch = [str(Declared(r.specifier).specifier) for r in wanted if r.name == "torch"]
    others = {canonicalize_name(r.name): r.specifier for r in wanted if not r.via_pytorch_extension}
    kept = [name for name in _SLICERS_OWN if canonicalize_name(name) not in others and _is_there(name)]
    return next(iter(torch), None), [*others.values()], [*_PYTORCH, *kept]


def project_file() -> Path:
    """Return ``pyproject.toml``: inside the package where that is installed, else beside it in the checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "pyproject.toml"
    return inside if inside.is_file() else package.parent / "pyproject.toml"


def _declared(project: Mapping[str, Any], extras: Iterable[str]) -> Iterator[Declared]:
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    for line in (line for lines in lists for line in lines):
        declared = Declared(line)
        if declared.marker is not None and not declared.marker.evaluate():
            continue
        if canonicalize_name(declared.name) == canonicalize_name(project["name"]):
            yield from _declared(project, sorted(declared.extras))
        else:
            yield declared


def _is_satisfied(declared: Declared) -> bool:
    for name in (declared.name, *_INSTEAD.get(declared.name, ())):
        version = _version(name)
        if version is not None:
            # A release candidate of Slicer's own build, and one whose version means nothing to pip, are new enough.
            try:
                return declared.specifier.contains(Version(version), prereleases=True)
            except InvalidVersion:
                return True
    return declared.name in _SLICERS_OWN and _is_there(declared.name)


def _is_there(name: str) -> bool:
    # Slicer builds some of its parts without the metadata that pip would leave.
    return _version(name) is not None or importlib.util.find_spec(name) is not None


def _version(name: str) -> str | None:
    # The library importlib_metadata, which takes the place of Python's own once it is imported, raises the latter.
    with suppress(importlib.metadata.PackageNotFoundError, FileNotFoundError):
        # None, whatever its type says, where an installation that was broken off left no metadata.
        return importlib.metadata.version(name)
    return None
