"""The private elements of a model in DICOM, and what is said about it in public ones."""

import hashlib
import re
import uuid
from typing import Any

from pydicom.dataset import Dataset

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.entry import Model

RAW_DATA_STORAGE = "1.2.840.10008.5.1.4.1.1.66"
CREATOR = "NATIVEDL IODEEP 1.0"
GROUP = 0x0017
# Without a space, which servers decode differently in the queries of DICOMweb.
STUDY_DESCRIPTION = "NATIVEDL-IODEEP"
"""Of every such object, so that one query finds them among all studies of a peer."""

ENTRY, ID, VERSION, MODEL_UID, RUNTIME, FORM, WEIGHTS, URI = range(0x01, 0x09)
SHA256, SIZE, FRAGMENT, FRAGMENTS, DIGEST, SIGNATURE, PUBLIC_KEY = range(0x09, 0x10)
VRS = {
    ENTRY: "UT",
    ID: "LO",
    VERSION: "LO",
    MODEL_UID: "UI",
    RUNTIME: "CS",
    FORM: "CS",
    WEIGHTS: "OB",
    URI: "UR",
    SHA256: "LO",
    SIZE: "UL",
    FRAGMENT: "US",
    FRAGMENTS: "US",
    DIGEST: "LO",
    SIGNATURE: "OB",
    PUBLIC_KEY: "OB",
}
_LARGEST_TEXT = 2**20


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


class Elements:
    """Private elements of one instance as bytes, whether the peer kept their VR or made it UN.

    ModelError where the instance has no block of ours, or an element is missing or not as described.
    """

    def __init__(self, dataset: Dataset, what: str) -> None:
        self._dataset, self._what = dataset, what
        try:
            self._block = dataset.private_block(GROUP, CREATOR)
        except KeyError as error:
            raise ModelError(f"{what}: holds no model: it has no private block '{CREATOR}'") from error

    def content(self, element: int) -> bytes:
        """Return an element's value, empty where it is absent."""
        tag = self._block.get_tag(element)
        if tag not in self._dataset:
            return b""
        value = getattr(self._dataset.get_item(tag), "value", None)
        if not isinstance(value, (bytes, type(None))):
            raise ModelError(f"{self._what}: {tag} is not as its table describes it")
        return value or b""

    def text(self, element: int) -> str:
        """Return a text, without its padding."""
        value = self.content(element)
        if len(value) > _LARGEST_TEXT or not value.isascii():
            raise ModelError(f"{self._what}: {self._block.get_tag(element)} is too long, or not ASCII")
        return value.decode("ascii").strip(" \0")

    def number(self, element: int) -> int:
        """Return an unsigned number."""
        value = self.content(element)
        if len(value) != {"UL": 4, "US": 2}[VRS[element]]:
            raise ModelError(f"{self._what}: {self._block.get_tag(element)} is not one number")
        return int.from_bytes(value, "little")

    def sha256(self, element: int) -> str:
        """Return a SHA-256 in hexadecimal."""
        value = self.text(element)
        if not re.fullmatch("[0-9a-f]{64}", value):
            raise ModelError(f"{self._what}: {self._block.get_tag(element)} is no SHA-256")
        return value
