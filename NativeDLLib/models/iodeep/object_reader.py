"""Reading a model from DICOM instances: nothing of it is used before its sizes, digests and entry have been checked."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.core.jsonfile import parse_json
from NativeDLLib.models.iodeep import elements as e
from NativeDLLib.models.iodeep.elements import LARGEST_WEIGHTS, unpack
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import models_of
from NativeDLLib.registry.weights import verified_weights

LARGEST_INSTANCE = 2**30
"""In bytes; a larger file is not read into memory."""

# Values above this are read from the file only when they are asked for.
_DEFER = 2**16
_CHECKED_ATTRIBUTES = ("Modality", "BodyPartExamined", "SamplesPerPixel", "PhotometricInterpretation")


@dataclass(frozen=True)
class ReceivedModel:
    """A model that was read from DICOM, whole and consistent; its signer is not judged yet."""

    model: Model  # with weights below the folder that it was read to
    place: str  # name of the folder with the weights, made from the digest
    digest: str
    statement: bytes  # what digest and signature are made of
    signature: bytes
    public_key: bytes


def read_model(files: Sequence[Path], folder: Path) -> ReceivedModel:
    """Read a model's instances, in any order, and write its weights into a new or empty folder. ModelError where a
    fragment is missing, foreign or damaged, a digest is not that of its content, or the registry's schema does not
    allow the entry. The folder's content is not to be used then.
    """
    if not files:
        raise ModelError("there is no DICOM object to read a model from")
    what = f"object {files[0].stem}"
    try:
        return _read(files, folder, what)
    except (NativeDLError, OSError):
        raise
    except Exception as error:  # a damaged file can make the parser raise nearly anything, and whenever it is asked
        raise ModelError(f"{what}: is damaged or no DICOM object") from error


def _read(files: Sequence[Path], folder: Path, what: str) -> ReceivedModel:
    parts = {}
    shared: tuple[str, dict[int, Any]] | None = None
    for file in files:
        dataset = _open(file)
        values = e.read_elements(dataset, f"object {file.stem}")
        number, here = values.pop(e.FRAGMENT), (str(dataset.get("SeriesInstanceUID", "")), values)
        if shared not in (None, here):
            raise ModelError(f"{what}: its fragments are of different models, or one is damaged")
        shared = here
        if number in parts:
            raise ModelError(f"{what}: fragment {number} is there twice")
        parts[number] = dataset
    assert shared is not None
    common, digest = shared[1], shared[1][e.DIGEST]
    if sorted(parts) != list(range(1, common[e.FRAGMENTS] + 1)):
        raise ModelError(f"{what}: {len(parts)} of its {common[e.FRAGMENTS]} fragments are there")
    content = e.statement(common[e.ENTRY], common[e.FORM], common[e.SHA256], common[e.SIZE])
    if hashlib.sha256(content).hexdigest() != digest or e.model_uid(digest) != common[e.MODEL_UID]:
        raise ModelError(f"{what}: is damaged: its registry entry and weights are not those that its digest means")
    model, expected = _entry(common, folder, what), parts[1]
    for keyword in _CHECKED_ATTRIBUTES:
        if str(expected.get(keyword, "")) != str(e.image_attributes(model)[keyword]):
            raise ModelError(f"{what}: its {keyword} is not that of its registry entry")
    place = digest[:32]
    if common[e.FORM] != "URI":
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / "weights"
        _write_weights([parts[number] for number in sorted(parts)], common, archive, what)
        model = _place(place, common, archive, folder, what)
    return ReceivedModel(model, place, digest, content, common[e.SIGNATURE], common[e.PUBLIC_KEY])


def _open(file: Path) -> Dataset:
    if file.stat().st_size > LARGEST_INSTANCE:
        raise ModelError(f"{file}: is larger than {LARGEST_INSTANCE // 2**20} MiB")
    syntax = read_file_meta_info(file).TransferSyntaxUID
    # A deflated object could grow without limit when it is read.
    if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        raise ModelError(f"{file}: is stored in transfer syntax {syntax}, a model is never compressed")
    dataset = dcmread(file, defer_size=_DEFER)
    if str(dataset.SOPClassUID) != e.RAW_DATA_STORAGE:
        raise ModelError(f"{file}: holds no model: its SOP class is {dataset.SOPClassUID}")
    return dataset


def _entry(common: dict[int, Any], folder: Path, what: str) -> Model:
    """Check the entry as that of any registry, and that the other elements say the same."""
    where, registry = f"{what}: its registry entry", folder / "registry.json"
    try:
        model = _model(parse_json(common[e.ENTRY], where, ModelError), registry)
    except ModelError as error:
        raise ModelError(str(error).replace(str(registry), where)) from error
    weights = model.weights
    form = "URI" if weights.url else "TAR" if weights.is_folder else "FILE"
    said = tuple(common[element] for element in (e.ID, e.VERSION, e.RUNTIME, e.FORM, e.URI))
    if said != (model.id, model.version, model.runtime.upper(), form, weights.url):
        raise ModelError(f"{what}: its elements contradict its registry entry")
    if form != "TAR" and (weights.sha256 or "") != common[e.SHA256]:
        raise ModelError(f"{what}: its registry entry means other weights than it holds")
    return model


def _write_weights(parts: Sequence[Dataset], common: dict[int, Any], path: Path, what: str) -> None:
    if not 0 < common[e.SIZE] <= LARGEST_WEIGHTS:
        raise ModelError(f"{what}: says that its weights have {common[e.SIZE]} bytes")
    left, digest = common[e.SIZE], hashlib.sha256()
    with path.open("xb") as stream:
        for part in parts:
            piece = e.read_weights(part, what)
            # One byte of padding, and only where nothing is to come.
            if not piece or len(piece) > left + left % 2:
                raise ModelError(f"{what}: its weights do not have the {common[e.SIZE]} bytes that it says")
            piece = piece[:left]
            left -= len(piece)
            digest.update(piece)
            stream.write(piece)
    if left or digest.hexdigest() != common[e.SHA256]:
        raise ModelError(f"{what}: is damaged: its weights are not those that its digest means")


def _place(place: str, common: dict[int, Any], archive: Path, folder: Path, what: str) -> Model:
    """Put the weights where the registry's entry finds them, and check them as those of any model."""
    entry: dict[str, Any] = json.loads(common[e.ENTRY])
    weights, key = entry["weights"], "file" if common[e.FORM] == "FILE" else "folder"
    weights[key] = f"{place}/{weights[key]}"
    target = folder / weights[key]
    target.parent.mkdir(parents=True)
    if key == "file":
        archive.replace(target)
    else:
        unpack(archive, target, weights.get("files", {}), what)
        archive.unlink()
    model = _model(entry, folder / "registry.json")
    verified_weights(model)
    return model


def _model(entry: Any, registry: Path) -> Model:
    (model,) = models_of({"schema_version": "1.0", "models": [entry]}, registry)
    return model
