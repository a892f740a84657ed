"""Files of a model by their kind: a results folder, or a file with a network."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.inference.pt2_archive import EXPORT
from NativeDLLib.models.add.draft import Draft


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
        return read_results_folder(path, folds)
    if not path.is_file():
        raise UsageError(f"{path}: is not there")
    if folds is not None:
        raise UsageError(f"{path}: is a file; only a results folder of nnU-Net has folds")
    if architecture is not None:
        return network_file.read_described(path, architecture)
    if path.suffix.lower() == ".onnx":
        return network_file.read_onnx(path)
    if path.suffix.lower() == ".safetensors":
        raise UsageError(f"{path}: holds weights without a network", hint="name its network with --architecture FILE")
    return _read_torch(path)


def _read_torch(path: Path) -> Draft:
    from NativeDLLib.models.add import network_file

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ModelError(
            f"{path}: is no .onnx, .pt2 or .safetensors file; pickled networks are not loaded: {EXPORT}"
        ) from error
    if any(name.endswith("/data.pkl") for name in names) and not any(name.endswith("/constants.pkl") for name in names):
        hint = "or give a state dict with its --architecture FILE"
        raise ModelError(f"{path}: is a file of torch.save, and a pickled network is not loaded; {EXPORT}", hint=hint)
    return network_file.read_pt2(path)
