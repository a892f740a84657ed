"""Files of a model by their kind: a results folder, or a file with a network; everything else is called what it is."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.files import scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.pt2_archive import EXPORT
from NativeDLLib.models.add.draft import Draft
from NativeDLLib.models.add.keras_file import WEIGHTS
from NativeDLLib.models.fetch.archive import unpack_zip

_TO_ONNX = "convert it to ONNX, with one series as input"
_SAVED = "and a pickled network is not loaded"
# Members by whose end an archive is known, the kind, and the way out; the first that fits counts.
_ARCHIVES = (
    (("keras_metadata.pb",), "a network of Keras 2", _TO_ONNX),
    (("plans.json",), "a zip of an nnU-Net results folder", "unpack it, and add the folder"),
    (("saved_model.pb",), "a zip of a TensorFlow SavedModel", _TO_ONNX),
    (("model_def.py", "configs/inference.json", "configs/metadata.json"), "a zip of a MONAI bundle", EXPORT),
    (("/data.pkl",), f"a file of torch.save, {_SAVED}", EXPORT),
    (("META-INF/MANIFEST.MF", "word/document.xml"), "a program or a document", "name the file of a network"),
)
# Bytes by which other files are known, and where they stand; those of the first list begin no file of a network.
_Mark = tuple[int, bytes, str, str]
_DOWNLOAD = "download the file itself"
_NEVER: tuple[_Mark, ...] = (
    (0, b"version https://git-lfs", "a pointer of Git LFS", f"{_DOWNLOAD}, as git lfs pull does"),
    *((0, begin, "a web page", _DOWNLOAD) for begin in (b"<!DOCTYPE", b"<!doctype", b"<html")),
    (0, b"<?xml", "XML text", "name the file of a network"),
)
_MARKS: tuple[_Mark, ...] = (
    (128, b"DICM", "a DICOM object", "networks in such objects are pulled from the PACS that holds them"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes it", _TO_ONNX),
    (4, b"TFL3", "a network of TensorFlow Lite", _TO_ONNX),
    (4, b"ORTM", "a network in onnxruntime's own format", "give the .onnx file that it was made of"),
    (0, b"\x93NUMPY", "a NumPy array", "name the file of a network"),
    (0, b"\x80", f"a pickle, {_SAVED}", EXPORT),
    (0, b"\x1f\x8b", "compressed", "unpack it first"),
    (0, b"{", "JSON text", "name the file of a network"),
    (0, b"", "no file of a network that is known", EXPORT),
)


def read_source(path: Path, *, architecture: Path | None = None, folds: Sequence[str] | None = None) -> Draft:
    """Draft of a model from its files, without running code of theirs: an nnU-Net results folder (or the one above it),
    of which all folds or those of `folds` (``0`` to ``4``, or ``all``) are taken, or a file with a network or its
    weights. `architecture` is the network as JSON, where the file holds nothing but weights. ModelError or UsageError
    where it is none of these, is damaged, holds more than a network needs, or asks for more than a series gives.
    """
    # These import the runtimes' ways of reading, which take their time.
    from NativeDLLib.models.add import network_file
    from NativeDLLib.models.add.results_folder import read_results_folder

    if path.is_dir():
        if architecture is not None:
            raise UsageError(f"{path}: is a folder; only a file of weights has an architecture beside it")
        _check_folder(path)
        return read_results_folder(path, folds)
    if not path.is_file():
        raise UsageError(f"{path}: is not there")
    if folds is not None:
        raise UsageError(f"{path}: is a file; only a results folder of nnU-Net has folds")
    with path.open("rb") as file:
        start = file.read(256)
    _check_start(path, start, _NEVER)
    if architecture is not None:
        return network_file.read_described(path, architecture)
    if path.suffix.lower() == ".onnx":
        return network_file.read_onnx(path)
    if path.suffix.lower() == ".safetensors":
        raise UsageError(f"{path}: holds weights without a network", hint="name its network with --architecture FILE")
    beside = [file.name for file in path.parent.glob("*.onnx") if path.name.startswith(file.name)]
    if beside:
        raise UsageError(f"{path}: holds weights of {beside[0]}; name that file")
    if not start.startswith(b"PK"):
        _check_start(path, start, _MARKS)
    if WEIGHTS in _members(path):
        return network_file.read_keras(path)
    _check_archive(path)
    return network_file.read_pt2(path)


@contextmanager
def unpacked(path: Path, progress: Progress) -> Iterator[Path]:
    """Results folder in a zip that nnU-Net exported, as long as the block runs; of all else the path itself. Errors of
    the block name the zip.
    """
    if not any(name.endswith("plans.json") for name in _members(path)):
        yield path
        return
    with scratch("nativedl-add-") as folder:
        try:
            with progress.stage("unpack"), path.open("rb") as file:
                unpack_zip(file, folder, progress)
            found = [plans.parent for plans in sorted(folder.rglob("plans.json"))]
            if len(found) > 1:
                names = ", ".join(str(results.relative_to(folder)) for results in found[:20])
                raise UsageError(f"{path}: holds {len(found)} results folders ({names}); unpack it, and name one")
            yield found[0]
        except (ModelError, UsageError) as error:
            told = re.sub(rf"{re.escape(str(folder))}[^:]*", lambda _: str(path), str(error), count=1)
            raise type(error)(told, hint=error.hint) from error


def _check_folder(path: Path) -> None:
    """Raise an error of ours where a folder without plans of nnU-Net is one of another program, or holds a network."""
    if any(path.glob("plans.json")) or any(path.glob("*/plans.json")):
        return
    if (path / "saved_model.pb").is_file():
        raise ModelError(f"{path}: is a SavedModel of TensorFlow; {_TO_ONNX}")
    found = [str(f.relative_to(path)) for end in ("onnx", "pt2") for f in sorted(path.glob(f"**/*.{end}"))[:20]]
    if found:
        raise UsageError(f"{path}: is a folder; name the network in it: {', '.join(found)}")
    if (path / "configs" / "metadata.json").is_file():
        raise ModelError(f"{path}: is a MONAI bundle; {EXPORT}")


def _check_start(path: Path, start: bytes, marks: Sequence[_Mark]) -> None:
    """Raise ModelError where a file begins as one of another kind."""
    for place, mark, kind, way in marks:
        if start[place:].startswith(mark):
            raise ModelError(f"{path}: is {kind}; {way}")


def _check_archive(path: Path) -> None:
    """Raise ModelError where an archive is one of another kind than that of ``torch.export``."""
    names = _members(path)
    # TorchScript is refused by its own name.
    if any(name.endswith("/constants.pkl") for name in names):
        return
    for ends, kind, way in _ARCHIVES:
        if any(name.endswith(ends) for name in names):
            hint = "or give a state dict with its --architecture FILE" if way == EXPORT else ""
            raise ModelError(f"{path}: is {kind}; {way}", hint=hint)


def _members(path: Path) -> list[str]:
    """Names in an archive; none of a file that is none, of which whoever reads it says what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return []
