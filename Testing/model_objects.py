"""Models as DICOM objects that tests change, and a pickle that does harm."""

import hashlib
import os

from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from NativeDLLib.models.iodeep import elements as e

ELEMENTS = [e.ENTRY, e.ID, e.VERSION, e.MODEL_UID, e.RUNTIME, e.FORM, e.WEIGHTS, e.SHA256, e.SIZE, e.FRAGMENT]
ELEMENTS += [e.FRAGMENTS, e.DIGEST]


def tag(element):
    return 0x00171000 + element


def flip(path, where):
    """Change one bit of the first byte of an element's value, where it lies in the file."""
    place = dcmread(path).get_item(where).value_tell
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def edit(path, **changes):
    """Change elements and write the object again, in another transfer syntax where that is asked for."""
    dataset = dcmread(path)
    syntax = changes.pop("syntax", dataset.file_meta.TransferSyntaxUID)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    for element in dataset:  # parsed with their VR before the encoding changes
        assert element is not None
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)


def rewrite_entry(path, text):
    """Give an object another entry with a digest that is right for it."""
    dataset = dcmread(path)
    block = dataset.private_block(e.GROUP, e.CREATOR)
    digest = block[e.SHA256].value
    content = e.statement(text, block[e.FORM].value, digest, block[e.SIZE].value)
    block[e.ENTRY].value = text
    block[e.DIGEST].value = hashlib.sha256(content).hexdigest()
    block[e.MODEL_UID].value = e.model_uid(block[e.DIGEST].value)
    dataset.save_as(path)


class Hostile:
    """Unpickles to a call that leaves a trace."""

    def __init__(self, trace):
        self._trace = trace

    def __reduce__(self):
        return os.system, (f"touch '{self._trace}'",)
