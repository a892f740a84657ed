"""A model as DICOM holds it: private elements, public ones about it, and its weights as one file that can be cut."""

import hashlib
import re
import tarfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import sha256
from NativeDLLib.core.jsonfile import problem_of
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights

RAW_DATA_STORAGE = "1.2.840.10008.5.1.4.1.1.66"
CREATOR = "NATIVEDL IODEEP 1.0"
GROUP = 0x0017
# Without a space, which servers decode differently in the queries of DICOMweb.
STUDY_DESCRIPTION = "NATIVEDL-IODEEP"
"""Of every such object, so that one query finds them among all studies of a peer."""

ENTRY, ID, VERSION, MODEL_UID, RUNTIME, FORM, WEIGHTS, URI = range(0x01, 0x09)
SHA256, SIZE, FRAGMENT, FRAGMENTS, DIGEST, SIGNATURE, PUBLIC_KEY = range(0x09, 0x10)
_VR = ("UT", "LO", "LO", "UI", "CS", "CS", "OB", "UR", "LO", "UL", "US", "US", "LO", "OB", "OB")
VRS = dict(enumerate(_VR, ENTRY))
LARGEST_WEIGHTS = 2**32 - 2
"""In bytes; the size of the weights is an unsigned 32-bit number (VR UL) and even."""

_SIZES = {"UL": 4, "US": 2}  # bytes of one number
_LARGEST_TEXT = _CHUNK = _ARCHIVE_NEEDS = 2**20


def statement(entry: str, form: str, sha256: str, size: int) -> bytes:
    """Statement that digest and signature are made of: which entry and which weights belong together."""
    entry_digest = hashlib.sha256(entry.encode("ascii")).hexdigest()
    return f"{CREATOR}\nentry {entry_digest}\nweights {form} {sha256 or '-'} {size}\n".encode("ascii")


def model_uid(digest: str) -> str:
    """Return the UID of a model's content, the same for every copy of it."""
    return f"2.25.{uuid.UUID(hex=digest[:32], version=5).int}"


def mark(content: bytes, public_key: bytes) -> str:
    """Return 16 characters that tell the same content, signed by the same key, from any other (Study ID)."""
    return hashlib.sha256(content + public_key).hexdigest()[:16]


def image_attributes(model: Model) -> dict[str, Any]:
    """Public attributes of the object that describe the images of a model: one grey value a voxel."""
    orientation = model.input.orientation
    _, rows, columns = model.input.patch_size or (None, None, None)
    return {
        "Modality": model.input.modality,
        "BodyPartExamined": model.input.body_parts[0] if model.input.body_parts else "",
        "PatientOrientation": [orientation[0], orientation[1]] if orientation else "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
    }


def raw_value(dataset: Dataset, tag: int, what: str) -> bytes:
    """Value of an element as it is stored, before pydicom looks for backslashes in megabytes; empty where absent."""
    value = getattr(dataset.get_item(tag), "value", None) if tag in dataset else None
    value = value.encode() if isinstance(value, str) else value
    if not isinstance(value, (bytes, type(None))):
        raise ModelError(f"{what}: element {tag >> 16:04X},{tag & 0xFFFF:04X} holds neither bytes nor text")
    return value or b""


def read_elements(dataset: Dataset, what: str) -> dict[int, Any]:
    """Values of one instance's private elements by number but the weights, whether the peer kept their VR or made it
    UN. ModelError where the instance has no block of ours, or an element is missing or not as described.
    """
    try:
        block = dataset.private_block(GROUP, CREATOR)
    except KeyError as error:
        raise ModelError(f"{what}: holds no model: it has no private block '{CREATOR}'") from error
    values: dict[int, Any] = {}
    for element in sorted(VRS.keys() - {WEIGHTS}):
        tag, vr = block.get_tag(element), VRS[element]
        content = raw_value(dataset, tag, what)
        if vr == "OB":
            values[element] = content
        elif vr in _SIZES:
            if len(content) != _SIZES[vr]:
                raise ModelError(f"{what}: {tag} is not one number")
            values[element] = int.from_bytes(content, "little")
        else:
            if len(content) > _LARGEST_TEXT or not content.isascii():
                raise ModelError(f"{what}: {tag} is too long, or not ASCII")
            values[element] = content.decode("ascii").strip(" \0")
    for element in (SHA256, DIGEST):
        # At a URL, the entry may have a digest for each file.
        is_left_out = element == SHA256 and values[FORM] == "URI" and not values[element]
        if not is_left_out and not re.fullmatch("[0-9a-f]{64}", values[element]):
            raise ModelError(f"{what}: {block.get_tag(element)} is no SHA-256")
    return values


def read_weights(dataset: Dataset, what: str) -> bytes:
    """Weights, or the fragment of them, in one instance that has a block of ours; empty where there are none."""
    return raw_value(dataset, dataset.private_block(GROUP, CREATOR).get_tag(WEIGHTS), what)


def pack(model: Model, folder: Path) -> tuple[dict[str, Any], str, Path | None]:
    """Registry entry as it travels, with the digest of every file, form and file of a model's checked weights. Form
    ``FILE`` is the weights, ``TAR`` an archive of nnU-Net's results folder, ``URI`` no file: the entry says where they
    are. ModelError where they are missing, not those of the registry, or far away without a digest.
    """
    # The model card lies beside the registry and is not part of what is signed and run.
    entry = {key: value for key, value in model.data.items() if key != "card"}
    weights = dict(entry["weights"])
    if "url" in weights:
        if "sha256" not in weights and not weights.get("files"):
            raise ModelError(f"model {model.id}: its weights are at a URL without a SHA-256 in the entry; add it there")
        return entry, "URI", None
    checked = Weights(model)
    sizes = {name: (checked.path / name).stat().st_size for name in checked.digests}
    size = sum(sizes.values())
    if size > LARGEST_WEIGHTS - (_ARCHIVE_NEEDS if "folder" in weights else 0):
        raise ModelError(f"model {model.id}: its weights have {size} bytes, a DICOM object takes {LARGEST_WEIGHTS}")
    if "file" in weights:
        entry["weights"] = {"file": checked.path.name, "sha256": checked.digest, "size": size}
        return entry, "FILE", checked.path
    archive = folder / "weights.tar"
    # The same bytes every time.
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as target:
        for name in sizes:
            member = tarfile.TarInfo(name)
            member.size = sizes[name]
            with (checked.path / name).open("rb") as content:
                target.addfile(member, content)
    entry["weights"] = weights | {"folder": "results", "files": checked.digests}
    return entry, "TAR", archive


def unpack(archive: Path, folder: Path, declared: Mapping[str, str], what: str) -> None:
    """Write the declared files of an untrusted archive into a new folder, whole, and nothing else. `declared` has the
    SHA-256 by name. ModelError where a member is no plain file, would leave the folder, is not declared, is there twice
    or is another one.
    """
    try:
        with archive.open("rb") as source:
            # Block by block, as Python believes the sizes and names in extensions of the format.
            while (header := source.read(tarfile.BLOCKSIZE)).strip(b"\0"):
                member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
                path = folder / member.name
                is_path = problem_of(member.name, "registry.schema.json", "/$defs/path") is None
                if member.type != tarfile.REGTYPE or not is_path or member.name not in declared:
                    raise ModelError(f"{what}: its archive holds '{member.name[:80]}', which its entry does not name")
                if path.exists() or not 0 <= member.size <= archive.stat().st_size:
                    raise ModelError(f"{what}: '{member.name[:80]}' in its archive is there twice or too large")
                path.parent.mkdir(parents=True, exist_ok=True)
                left = member.size
                with path.open("xb") as target:
                    while left and (chunk := source.read(min(left, _CHUNK))):
                        target.write(chunk)
                        left -= len(chunk)
                source.seek(-member.size % tarfile.BLOCKSIZE, 1)
    except (tarfile.TarError, OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise ModelError(f"{what}: its archive cannot be unpacked ({reason})") from error
    for name, digest in declared.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ModelError(f"{what}: {name} in its archive is not the file that its entry declares")
