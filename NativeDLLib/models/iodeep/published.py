"""Networks in the layout of the paper's published code: private elements without a creator, base64 of a torch file.

``docs/models-in-the-pacs.md`` has the elements. By the standard they are private creators, which is why other libraries
may give them another VR; the file may lack preamble and prefix too. Nothing is unpickled but tensors and plain
containers, and nothing that the layout does not tell is guessed.
"""

import ast
import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.files import scratch, write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.uids import is_uid
from NativeDLLib.core.zip_check import ZipError
from NativeDLLib.inference.confined import load_tensors
from NativeDLLib.inference.network import require
from NativeDLLib.models.add.draft import Draft, identifier, printable
from NativeDLLib.models.iodeep.elements import raw_value
from NativeDLLib.models.iodeep.object_reader import LARGEST_INSTANCE
from NativeDLLib.models.iodeep.published_layout import from_iodeep
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import retrieve
from NativeDLLib.source.header import text

_ARCHITECTURE, _WEIGHTS, _NAME = 0x00170016, 0x00170018, 0x00170020
_LARGEST_ARCHITECTURE = 2**22
_MODALITIES = ("CT", "MR", "PT")


@contextmanager
def pulled_draft(peer: Peer, uid: str, accept_unsigned: bool, progress: Progress) -> Iterator[Draft]:
    """Fetch a network in the published layout as the draft of an entry, whose files live as long as the block. `uid` is
    that of study, series and instance. ModelError where it is not such a network, is damaged, holds more than tensors,
    takes what a series does not give, or the user has not agreed to a layout without signatures.
    """
    if not is_uid(uid):
        raise UsageError(f"'{uid[:80]}' is no UID")
    if not accept_unsigned:
        hint = "to use it all the same: --accept-unsigned"
        raise ModelError(f"network {uid} has no signature in this layout", hint=hint)
    with scratch("nativedl-pull-") as folder:
        with progress.stage("retrieve"):
            files = retrieve(peer, uid, uid, folder / "objects", progress)
        if len(files) != 1:
            raise ModelError(f"network {uid}: is in {len(files)} instances instead of one")
        with progress.stage("verify"):
            draft = read_published(files[0], folder)
        yield draft


def read_published(path: Path, folder: Path) -> Draft:
    """Read an object in the published layout: name, modality, body part, architecture, size of the input. Weights, with
    the names of our layout, and architecture are written into the folder. ModelError where it is not such an object, is
    damaged, holds anything but tensors and plain values, or takes what a series does not give.
    """
    # The runtimes' ways of reading take their time to import.
    from NativeDLLib.models.add.network_file import read_described

    dataset = _open(path)
    name = printable(raw_value(dataset, _NAME, str(path)).decode("utf-8", "replace").strip(" \0"))[:64]
    modality, body_part = text(dataset, "Modality"), text(dataset, "BodyPartExamined").upper()
    if modality not in _MODALITIES:
        raise ModelError(f"{path}: is for {modality or 'no'} images; a model can be for {', '.join(_MODALITIES)}")
    description = _architecture(raw_value(dataset, _ARCHITECTURE, str(path)), path)
    state = _load(raw_value(dataset, _WEIGHTS, str(path)), path)
    torch = require("torch", "torch")
    rows = state.items() if isinstance(state, Mapping) else [(None, state)]
    if not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in rows):
        raise ModelError(f"{path}: its weights are no dictionary of tensors by name")
    weights, network = folder / "weights.pth", folder / "architecture.json"
    try:
        if isinstance(description.get("architecture"), Mapping):
            description, state = from_iodeep(description, state)
        torch.save(dict(state), weights)
        write_json(network, dict(description))
        draft = read_described(weights, network)
    except ModelError as error:
        reason = str(error).removeprefix(f"{weights}: ").removeprefix(f"{network}: ")
        raise ModelError(f"{path}: {reason}") from error
    draft.entry |= {"id": identifier(name), "description": f"Network {name!r} in the layout of IODeep's authors."}
    draft.entry["input"] |= {"modality": modality, **({"body_parts": [body_part]} if body_part else {})}
    # The rows and columns of a picture.
    draft.put(("input", "axes"), "zyx")
    draft.take(("input", "patch_size"))
    draft.fixed = [*draft.fixed, ("input", "modality")]
    draft.told.append("its authors resize an image to its input; here pixels have the spacing that you give")
    return draft


def _open(path: Path) -> Dataset:
    try:
        if path.stat().st_size > LARGEST_INSTANCE:
            raise ModelError(f"{path}: is larger than {LARGEST_INSTANCE // 2**20} MiB")
        dataset = dcmread(path, force=True)
        if dataset.file_meta.get("TransferSyntaxUID", "").endswith(".1.99"):
            raise ModelError(f"{path}: is deflated, which a model never is")
    except ModelError:
        raise
    except Exception as error:  # a damaged file can make the parser raise nearly anything
        raise ModelError(f"{path}: is damaged or no DICOM object") from error
    if _WEIGHTS not in dataset or _ARCHITECTURE not in dataset:
        raise ModelError(f"{path}: holds no network in the published layout (elements 0017,0016 and 0017,0018)")
    return dataset


def _architecture(content: bytes, path: Path) -> Mapping[str, Any]:
    if len(content) > _LARGEST_ARCHITECTURE:
        raise ModelError(f"{path}: its architecture is larger than {_LARGEST_ARCHITECTURE // 2**20} MiB")
    written = content.decode("utf-8", "replace").strip(" \0")
    found: Any = None
    try:
        found = json.loads(written) if written.startswith("{") else _load(content, path)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise ModelError(f"{path}: its architecture is neither JSON nor a Python dictionary") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{path}: its architecture is no dictionary")
    return found


def _load(written: bytes, path: Path) -> Any:
    """Load the base64 of a torch file, tensors and plain values only."""
    try:
        content = base64.b64decode(written.strip(b" \0"), validate=True)
    except binascii.Error as error:
        raise ModelError(f"{path}: holds something else than base64 where a torch file should be") from error
    require("torch", "torch")
    if not content.startswith(b"PK"):
        raise ModelError(f"{path}: holds no torch file")
    try:
        return load_tensors(content)
    except Exception as error:  # torch raises its own, pickle's and Python's errors
        reason = str(error) if isinstance(error, ZipError) else "it holds more than tensors, or is damaged"
        raise ModelError(f"{path}: its torch file cannot be read: {reason}") from error
