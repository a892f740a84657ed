"""Reading a model from DICOM instances: nothing of it is used before its sizes, digests and entry have been checked."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.core.files import write_json, write_text
from NativeDLLib.models.iodeep import elements as e
from NativeDLLib.models.iodeep.elements import LARGEST_WEIGHTS, unpack
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_registry
from NativeDLLib.registry.weights import verified_weights

LARGEST_INSTANCE = 2**30
"""In bytes; a larger file is not read into memory."""

# Values above this are read from the file only when they are asked for.
_DEFER = 2**16
_CHECKED_ATTRIBUTES = ("Modality", "BodyPartExamined", "SamplesPerPixel", "PhotometricInterpretation")


@dataclass(frozen=True)
class ReceivedModel:
    """A model that was read from DICOM, whole and consistent; its signer is not judged yet."""

    model: Model  # its ``registry.json`` lies in the folder that it was read to
    uid: str
    place: str  # name of the folder with the weights, made from the digest
    digest: str
    statement: bytes  # what digest and signature are made of
    signature: bytes
    public_key: bytes


@dataclass(frozen=True)
class _Common:
    """Values that all fragments share."""

    entry: str
    id: str
    version: str
    uid: str
    runtime: str
    form: str
    uri: str
    sha256: str
    size: int
    fragments: int
    digest: str
    signature: bytes
    public_key: bytes
    series: str


def read_model(files: Sequence[Path], folder: Path) -> ReceivedModel:
    """Read a model's instances, in any order, and write its weights and a registry with its entry into an empty folder.
    ModelError where a fragment is missing, foreign or damaged, a digest is not that of its content, or the registry's
    schema does not allow the entry. The folder's content is not to be used then.
    """
    if not files:
        raise ModelError("there is no DICOM object to read a model from")
    what = f"object {files[0].stem}"
    try:
        return _read(files, folder, what)
    except (NativeDLError, OSError):
        raise
    except Exception as error:  # a damaged file can make the parser raise nearly anything, and whenever it is asked
        raise ModelError(f"{what}: is damaged or no DICOM object ({error})") from error


def _read(files: Sequence[Path], folder: Path, what: str) -> ReceivedModel:
    parts = {}
    first: _Common | None = None
    for file in files:
        dataset = _open(file)
        elements = e.Elements(dataset, f"object {file.stem}")
        common, number = _common(dataset, elements), elements.number(e.FRAGMENT)
        if first is not None and common != first:
            raise ModelError(f"{what}: its fragments are of different models, or one is damaged")
        first = common
        if number in parts:
            raise ModelError(f"{what}: fragment {number} is there twice")
        parts[number] = (dataset, elements)
    assert first is not None
    if sorted(parts) != list(range(1, first.fragments + 1)):
        raise ModelError(f"{what}: {len(parts)} of its {first.fragments} fragments are there")
    content = e.statement(first.entry, first.form, first.sha256, first.size)
    if hashlib.sha256(content).hexdigest() != first.digest or e.model_uid(first.digest) != first.uid:
        raise ModelError(f"{what}: is damaged: its registry entry and weights are not those that its digest means")
    received = ReceivedModel(
        model=_entry(first, folder, what),
        uid=first.uid,
        place=first.digest[:32],
        digest=first.digest,
        statement=content,
        signature=first.signature,
        public_key=first.public_key,
    )
    _check_attributes(parts[1][0], received.model, what)
    if first.form == "URI":
        return received
    archive = folder / "weights"
    _write_weights([parts[number][1] for number in sorted(parts)], first, archive, what)
    return replace(received, model=_place(received, first, archive, folder, what))


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


def _common(dataset: Dataset, elements: e.Elements) -> _Common:
    form, sha256 = elements.text(e.FORM), elements.text(e.SHA256)
    return _Common(
        entry=elements.text(e.ENTRY),
        id=elements.text(e.ID),
        version=elements.text(e.VERSION),
        uid=elements.text(e.MODEL_UID),
        runtime=elements.text(e.RUNTIME),
        form=form,
        uri=elements.text(e.URI),
        sha256=elements.sha256(e.SHA256) if sha256 or form != "URI" else "",
        size=elements.number(e.SIZE),
        fragments=elements.number(e.FRAGMENTS),
        digest=elements.sha256(e.DIGEST),
        signature=elements.content(e.SIGNATURE),
        public_key=elements.content(e.PUBLIC_KEY),
        series=str(dataset.get("SeriesInstanceUID", "")),
    )


def _entry(common: _Common, folder: Path, what: str) -> Model:
    """Check the entry as that of any registry, and that the other elements say the same."""
    folder.mkdir(parents=True, exist_ok=True)
    registry = folder / "registry.json"
    write_text(registry, f'{{"schema_version": "1.0", "models": [{common.entry}]}}')
    try:
        models = load_registry(registry)
    except ModelError as error:
        raise ModelError(f"{what}: {str(error).replace(f'{registry}: ', 'its registry entry: ')}") from error
    if len(models) != 1:
        raise ModelError(f"{what}: holds {len(models)} registry entries instead of one")
    (model,) = models
    weights = model.weights
    form = "URI" if weights.url else "TAR" if weights.is_folder else "FILE"
    said = (common.id, common.version, common.runtime, common.form, common.uri)
    if said != (model.id, model.version, model.runtime.upper(), form, weights.url):
        raise ModelError(f"{what}: its elements contradict its registry entry")
    if form != "TAR" and (weights.sha256 or "") != common.sha256:
        raise ModelError(f"{what}: its registry entry means other weights than it holds")
    return model


def _check_attributes(dataset: Dataset, model: Model, what: str) -> None:
    """Check that an object is offered for the images that its entry is for."""
    expected = e.image_attributes(model)
    for keyword in _CHECKED_ATTRIBUTES:
        if str(dataset.get(keyword, "")) != str(expected[keyword]):
            raise ModelError(f"{what}: its {keyword} is not that of its registry entry")


def _write_weights(parts: Sequence[e.Elements], common: _Common, path: Path, what: str) -> None:
    if not 0 < common.size <= LARGEST_WEIGHTS:
        raise ModelError(f"{what}: says that its weights have {common.size} bytes")
    left, digest = common.size, hashlib.sha256()
    with path.open("xb") as stream:
        for elements in parts:
            piece = elements.content(e.WEIGHTS)
            # One byte of padding, and only where nothing is to come.
            if not piece or len(piece) > left + left % 2:
                raise ModelError(f"{what}: its weights do not have the {common.size} bytes that it says")
            piece = piece[:left]
            left -= len(piece)
            digest.update(piece)
            stream.write(piece)
    if left or digest.hexdigest() != common.sha256:
        raise ModelError(f"{what}: is damaged: its weights are not those that its digest means")


def _place(received: ReceivedModel, common: _Common, archive: Path, folder: Path, what: str) -> Model:
    """Put the weights where the registry's entry finds them, and check them as those of any model."""
    entry: dict[str, Any] = json.loads(common.entry)
    weights = entry["weights"]
    if common.form == "FILE":
        weights["file"] = f"{received.place}/{weights['file']}"
        target = folder / weights["file"]
        target.parent.mkdir(parents=True)
        archive.replace(target)
    else:
        weights["folder"] = f"{received.place}/{weights['folder']}"
        target = folder / weights["folder"]
        target.mkdir(parents=True)
        unpack(archive, target, weights.get("files", {}), what)
        archive.unlink()
    registry = folder / "registry.json"
    write_json(registry, {"schema_version": "1.0", "models": [entry]})
    (model,) = load_registry(registry)
    verified_weights(model)
    return model
