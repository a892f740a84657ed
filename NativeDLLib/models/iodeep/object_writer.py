"""A model of the registry as DICOM instances (IODeep, Contino et al. 2024): SOP Class Raw Data Storage, no patient.

``docs/models-in-the-pacs.md`` describes the attributes, each private element and the signed statement. As in the paper,
one UID names the study, the series and the first instance of a copy.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from NativeDLLib import __version__
from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import atomic_path, scratch, sha256
from NativeDLLib.models.iodeep import elements as e
from NativeDLLib.models.iodeep.elements import pack
from NativeDLLib.models.iodeep.signing import load_private_key
from NativeDLLib.registry.entry import Model

CHUNK_SIZE = 64 * 2**20
"""Bytes of weights in one instance: what any PACS takes and a workstation holds in memory."""

_MOST_FRAGMENTS = 2**16 - 1


def write_model(
    model: Model, folder: Path, *, signing_key: Path | None = None, chunk_size: int = CHUNK_SIZE
) -> list[Path]:
    """Write a model as the instances of one new series, named by their SOP Instance UIDs, in the order of the
    fragments. `signing_key` is the PEM file of an Ed25519 private key, `chunk_size` the bytes of weights in one
    instance, even. ModelError where the weights are not those of the registry or too large, or the model needs another
    one; UsageError where the key cannot be read.
    """
    if model.coarse is not None:
        other = model.coarse.model.id
        raise ModelError(f"model {model.id}: needs the coarse model {other} too, and an object holds one; leave it out")
    key = None if signing_key is None else load_private_key(signing_key)
    folder.mkdir(parents=True, exist_ok=True)
    with scratch(".partial-", folder) as staged:
        entry, form, weights = pack(model, staged)
        text = json.dumps(entry, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        size = 0 if weights is None else weights.stat().st_size
        digest = str(entry["weights"].get("sha256", "")) if weights is None else sha256(weights)
        content = e.statement(text, form, digest, size)
        said = hashlib.sha256(content).hexdigest()
        values: dict[int, Any] = {e.ENTRY: text, e.ID: model.id, e.VERSION: model.version}
        values |= {e.RUNTIME: model.runtime.upper(), e.DIGEST: said, e.MODEL_UID: e.model_uid(said)}
        values |= {e.FORM: form, e.SHA256: digest, e.SIZE: size, e.FRAGMENTS: max(1, -(-size // chunk_size))}
        if values[e.FRAGMENTS] > _MOST_FRAGMENTS:
            raise ModelError(f"model {model.id}: {values[e.FRAGMENTS]} fragments are too many; use a larger chunk size")
        if form == "URI":
            values[e.URI] = entry["weights"]["url"]
        if key is not None:
            values |= {e.SIGNATURE: key.sign(content), e.PUBLIC_KEY: key.public_key().public_bytes_raw()}
        header = _header(model, e.mark(content, values.get(e.PUBLIC_KEY, b"")))
        return [
            _write(header, values | {e.FRAGMENT: number} | ({} if piece is None else {e.WEIGHTS: piece}), folder)
            for number, piece in enumerate(_pieces(weights, chunk_size), 1)
        ]


def _pieces(weights: Path | None, chunk_size: int) -> Iterator[bytes | None]:
    if weights is None:
        yield None
        return
    with weights.open("rb") as stream:
        while piece := stream.read(chunk_size):
            yield piece + b"\0" * (len(piece) % 2)


def _header(model: Model, study_id: str) -> Dataset:
    """Make the attributes that all instances share; those of the patient and of the order are there and empty."""
    now, uid = datetime.now().astimezone(), generate_uid(prefix=None)
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S.%f")
    dataset = Dataset()
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": e.RAW_DATA_STORAGE,
        **dict.fromkeys(("InstanceCreationDate", "StudyDate", "SeriesDate", "ContentDate"), date),
        **dict.fromkeys(("InstanceCreationTime", "StudyTime", "SeriesTime", "ContentTime"), time),
        **dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex"), ""),
        **dict.fromkeys(("AccessionNumber", "ReferringPhysicianName"), ""),
        **dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID"), uid),
        **dict.fromkeys(("Manufacturer", "ManufacturerModelName"), "NativeDL"),
        **{"SoftwareVersions": __version__, "CreatorVersionUID": generate_uid(entropy_srcs=["NativeDL", __version__])},
        **{"StudyDescription": e.STUDY_DESCRIPTION, "SeriesDescription": model.id, "ProtocolName": model.version},
        **{"StudyID": study_id, "SeriesNumber": 1, "AcquisitionContextSequence": [], "ContentLabel": "MODEL"},
        **e.image_attributes(model),
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _write(header: Dataset, values: dict[int, Any], folder: Path) -> Path:
    dataset = Dataset()
    dataset.update(header)
    number = values[e.FRAGMENT]
    dataset.InstanceNumber = number
    # The paper gives study, series and instance one UID; further fragments need their own.
    dataset.SOPInstanceUID = header.StudyInstanceUID if number == 1 else generate_uid(prefix=None)
    block = dataset.private_block(e.GROUP, e.CREATOR, create=True)
    for element, value in values.items():
        block.add_new(element, e.VRS[element], value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return path
