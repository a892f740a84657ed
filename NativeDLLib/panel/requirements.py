"""Packages of ``pyproject.toml`` that this interpreter lacks, in words for a person's consent.

Inside Slicer the panel passes them to ``slicer.packaging.pip_ensure``. None of them is imported here.
"""

import importlib
import importlib.metadata
import importlib.util
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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

# Download sizes from PyPI for Linux x86-64, 2026-11-21; torch without CUDA is 80 MB (macOS) to 200 MB (Linux),
# nnunetv2 is with the 63 packages that it needs and Slicer and torch do not bring.
_NOTES = {
    "numpy": ("17 MB", "arrays"),
    "pydicom": ("2 MB", "reading and writing DICOM"),
    "highdicom": ("1 MB", "writing DICOM SEG"),
    "SimpleITK": ("53 MB", "images and their geometry"),
    "scikit-image": ("16 MB", "outlines of regions"),
    "python-gdcm": ("13 MB", "JPEG, JPEG-LS and JPEG 2000 images"),
    "pylibjpeg": ("0.1 MB", "High-Throughput JPEG 2000 images"),
    "pylibjpeg-openjpeg": ("2 MB", "High-Throughput JPEG 2000 images"),
    "pynetdicom": ("2 MB", "finding, retrieving and storing on the PACS"),
    "dicomweb-client": ("0.1 MB", "DICOMweb"),
    "requests": ("0.1 MB", "DICOMweb"),
    "filelock": ("0.1 MB", "one process at a time in a folder"),
    "jsonschema": ("0.7 MB", "checking registries and settings"),
    "packaging": ("0.1 MB", "comparing versions"),
    "Pillow": ("7 MB", "preview images"),
    "psutil": ("0.2 MB", "measuring memory"),
    "threadpoolctl": ("0.1 MB", "sharing the processor's cores out"),
    "tqdm": ("0.1 MB", "progress in a terminal"),
    "torch": ("80 to 200 MB, 3 GB with CUDA", "running PyTorch models"),
    "onnxruntime": ("24 MB", "running ONNX models"),
    "nnunetv2": ("113 MB", "running nnU-Net models"),
    "onnx": ("9 MB", "running nnU-Net models faster on the processor"),
    "onnxscript": ("1 MB", "running nnU-Net models faster on the processor"),
    "distributed": ("1 MB", "batches on more than one machine"),
    "cryptography": ("5 MB", "signatures of models in the PACS"),
}


@dataclass(frozen=True)
class Requirement:
    """A package that is missing or too old. ``specifier`` is pip's, such as ``pynetdicom>=3.0``; ``size`` is that of
    its download in words, ``purpose`` its use; ``via_pytorch_extension`` leaves its installation to Slicer's PyTorch
    extension.
    """

    name: str
    specifier: str
    size: str
    purpose: str
    via_pytorch_extension: bool


def missing(extras: Iterable[str] = ()) -> list[Requirement]:
    """Missing requirements of the base list and of extras, in the order of ``pyproject.toml``; KeyError else."""
    # What pip has installed since this process started is to be seen.
    importlib.invalidate_caches()
    found: dict[str, Declared] = {}
    for declared in _declared(extras):
        if not _is_satisfied(declared):
            # Several extras may ask for one package, each for versions of its own.
            declared.specifier &= found.get(declared.name, declared).specifier
            found[declared.name] = declared
    return [_described(declared) for declared in found.values()]


def skip(wanted: Iterable[Requirement]) -> tuple[str, ...]:
    """Return the packages that installing `wanted` must leave as they are: torch's, and what Slicer brings itself."""
    installed = {canonicalize_name(r.name) for r in wanted if not r.via_pytorch_extension}
    kept = [name for name in _SLICERS_OWN if canonicalize_name(name) not in installed and _is_there(name)]
    return (*_PYTORCH, *kept)


def plan(wanted: Sequence[Requirement]) -> tuple[str | None, list[str], list[str]]:
    """Plan of an installation: versions of torch for the PyTorch extension, None where it is not wanted; requirements
    for pip; packages that pip must leave as they are.
    """
    torch = [str(Declared(r.specifier).specifier) for r in wanted if r.name == "torch"]
    others = [r.specifier for r in wanted if not r.via_pytorch_extension]
    return next(iter(torch), None), others, list(skip(wanted))


def project_file() -> Path:
    """Return ``pyproject.toml``: inside the package where that is installed, else beside it in the checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "pyproject.toml"
    return inside if inside.is_file() else package.parent / "pyproject.toml"


def _declared(extras: Iterable[str]) -> Iterator[Declared]:
    project = tomllib.loads(project_file().read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    for line in (line for lines in lists for line in lines):
        declared = Declared(line)
        if declared.marker is not None and not declared.marker.evaluate():
            continue
        if canonicalize_name(declared.name) == canonicalize_name(project["name"]):
            yield from _declared(sorted(declared.extras))
        else:
            yield declared


def _is_satisfied(declared: Declared) -> bool:
    for name in (declared.name, *_INSTEAD.get(declared.name, ())):
        version = _version(name)
        if version is not None:
            # A release candidate of Slicer's own build, and one whose version means nothing to pip, are new enough.
            return _is_unreadable(version) or declared.specifier.contains(version, prereleases=True)
    return declared.name in _SLICERS_OWN and _is_there(declared.name)


def _is_there(name: str) -> bool:
    # Slicer builds some of its parts without the metadata that pip would leave.
    return _version(name) is not None or importlib.util.find_spec(name) is not None


def _version(name: str) -> str | None:
    try:
        # None, whatever its type says, where an installation that was broken off left no metadata.
        return importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError):
        # The latter from the library importlib_metadata, which takes the place of Python's own once it is imported.
        return None


def _is_unreadable(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return True
    return False


def _described(declared: Declared) -> Requirement:
    size, purpose = _NOTES.get(declared.name, ("", "developing NativeDL"))
    return Requirement(
        name=declared.name,
        specifier=str(declared),
        size=size and f"about {size}",
        purpose=purpose,
        via_pytorch_extension=declared.name in _PYTORCH,
    )
