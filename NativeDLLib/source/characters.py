"""Text whose character set a data set does not declare, or declares wrongly: nobody can say what it means."""

from collections.abc import Sequence
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

TEXT_VRS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
# Characters after which text begins in the first character set again (PS3.5 6.1.2.5.3).
_DELIMITERS = {ord(letter) for letter in "\\^=\r\n\t\f"}
_ASCII = ("", "ISO_IR 6", "ISO 2022 IR 6")
_LATIN_1 = "ISO 2022 IR 100"
_SET = Tag("SpecificCharacterSet")
_FUNCTIONAL_GROUPS = 0x5200


def is_readable(dataset: Dataset, inherited: Sequence[str] = ("",)) -> bool:
    """Tell whether all text of a data set as it was read, and of its sequences, is in the character sets that it
    declares. Private elements and functional groups are not looked at; `inherited` has Defined Terms of the data set
    that this one is an item of.
    """
    terms = declared_terms(dataset) or inherited
    for tag in list(dataset.keys()):
        element: Any = dataset.get_item(tag)
        if tag.is_private or tag.group == _FUNCTIONAL_GROUPS or not dictionary_has_tag(tag):
            continue
        vr = element.VR if element.VR not in (None, "UN") else dictionary_VR(tag)
        if vr == "SQ":
            if not all(is_readable(item, terms) for item in _items(dataset, tag)):
                return False
        elif vr in TEXT_VRS and isinstance(element, RawDataElement) and not _is_text(element.value or b"", terms):
            return False
    return True


def declared_terms(dataset: Dataset) -> tuple[str, ...]:
    """Return the Defined Terms of the Specific Character Set as they stand there; none where it is absent or empty."""
    element: Any = dataset.get_item(_SET)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        value = value.decode("latin-1").split("\\")
    terms = [value] if isinstance(value, str) else list(value or [])
    found = tuple(term.strip("\0 ") for term in terms)
    return found if any(found) else ()


def _items(dataset: Dataset, tag: BaseTag) -> Sequence[Dataset]:
    # Sequences are parsed when they are looked at; of a damaged one nothing is taken over.
    try:
        return dataset[tag].value or []
    except Exception:
        return []


def _is_text(value: bytes, terms: Sequence[str]) -> bool:
    if value.isascii() and b"\x1b" not in value:
        return True
    if all(term in _ASCII for term in terms) or not all(term in python_encoding for term in terms):
        return False
    if b"\x1b" not in value and terms[0] in _ASCII and _LATIN_1 not in terms:
        return False
    # pydicom leaves what it cannot decode, with its escape sequences, or marks it.
    return not set(decode_bytes(value, convert_encodings(list(terms)), _DELIMITERS)) & {"\ufffd", "\x1b"}
