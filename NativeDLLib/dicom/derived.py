"""Instances derived from a series: its header as they take it over, valid and in one character set at every level, and
the attributes that they share, patient, study and origin (PS3.3 C.7.1 to C.7.5).
"""

import datetime
import unicodedata
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import config
from pydicom.charset import convert_encodings, default_encoding, encode_string, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, generate_uid

from NativeDLLib import __version__
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.dicom.valid import ATTRIBUTES, IDENTITY, has_controls, is_complete, is_valid, settle
from NativeDLLib.source.characters import TEXT_VRS, declared_terms, is_readable
from NativeDLLib.source.series import Series

MANUFACTURER = "NativeDL"
_LONGEST = 64
_AT_ONCE = 2**20
# Away from the numbers that scanners give, so that what is derived stands below the images it belongs to.
_SERIES_NUMBER_OFFSET = 9000
_UTF_8 = "ISO_IR 192"
_SET = Tag("SpecificCharacterSet")
# Defined Terms that stand alone (PS3.3 C.12.1.1.2) and of which Python's codecs write nothing else.
_CHARACTER_SETS = {"GB18030", *(f"ISO_IR {n}" for n in (100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192))}


class SourceHeader:
    """The header of a series' first instance, to be taken over attribute by attribute. Text in none of its declared
    character sets is taken over byte for byte; the derived object declares the same, and its own text is ASCII.
    """

    def __init__(self, series: Series) -> None:
        self.series, self._header = series, series.instances[0].dataset
        self._readable = is_readable(self._header)

    def put(self, dataset: Dataset, keywords: Iterable[str]) -> None:
        """Give a data set the attributes that the source has and that DICOM has with such values."""
        for keyword in keywords:
            element = self.element(keyword)
            if element is not None:
                dataset[element.tag] = element

    def element(self, keyword: str) -> DataElement | RawDataElement | None:
        """Return an attribute as the derived object has it, or None where it is absent, empty or not valid."""
        return self._element(self._header, Tag(keyword), keyword in IDENTITY)

    def finish(self, dataset: Dataset) -> None:
        """Give a derived object its character set, once all its text is there."""
        terms = declared_terms(self._header)
        implicit = dataset.file_meta.TransferSyntaxUID.is_implicit_VR
        if not self._readable:
            if terms:
                dataset[_SET] = DataElement(_SET, "CS", list(terms))
            _write_as_it_is(dataset, implicit)
            return
        fits = len(terms) == 1 and terms[0] in _CHARACTER_SETS and _fits(dataset, python_encoding[terms[0]])
        dataset.SpecificCharacterSet = terms[0] if fits else _UTF_8
        # Elements that are raw hold nothing but ASCII, or numbers.
        dataset.set_original_encoding(implicit, True, convert_encodings(dataset.SpecificCharacterSet))

    def _element(self, owner: Dataset, tag: BaseTag, as_it_is: bool = False) -> DataElement | RawDataElement | None:
        # Elements are parsed when they are looked at, and pydicom lets pass whatever its parser stumbles over.
        try:
            element: Any = owner.get_item(tag)
            vr = dictionary_VR(tag)
            if element is None or (element.VR or "UN") not in ("UN", *vr.split(" or ")):
                return None
            if vr == "SQ":
                items = [item for item in map(self._item, owner[tag].value or []) if is_complete(tag, item)]
                return DataElement(tag, vr, items) if items else None
            if vr in TEXT_VRS and not self._readable:
                content = _bytes_of(element, owner)
                if not content.strip() or (has_controls(vr, content) and not as_it_is):
                    return None
                return RawDataElement(tag, vr, len(content), content, 0, False, True)
            if isinstance(element, RawDataElement):
                element = convert_raw_data_element(element, encoding=owner.original_character_set, ds=owner)
            return _fresh(element) if as_it_is or is_valid(element) else None
        except Exception:
            return None

    def _item(self, source: Dataset) -> Dataset:
        item = Dataset()
        for tag in list(source.keys()):
            # The character set is that of the whole object, unless nobody knows what it means.
            if tag.is_private or (tag == _SET and self._readable):
                continue
            element = self._element(source, tag)
            if element is not None:
                item[tag] = element
        return item


def derived_instance(
    header: SourceHeader, algorithm: Algorithm, sop_class: str, modality: str, title: str, transfer_syntax: UID
) -> Dataset:
    """The only instance of a new series in the study of a source, without content yet. `SourceHeader.finish` is to be
    called once everything is there. ValueError where a text is no Long String (over 64 characters, a backslash).
    """
    now, series = datetime.datetime.now(), header.series
    dataset = Dataset()
    for attributes in ATTRIBUTES.values():
        header.put(dataset, attributes.split())
    dataset.StudyInstanceUID = series.text("StudyInstanceUID")
    settle(dataset)
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = _series_number(series)
    dataset.SeriesDescription = _long_string(title)
    dataset.Modality = modality
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = _long_string(algorithm.name)
    dataset.SoftwareVersions = software_versions(algorithm)
    dataset.DeviceSerialNumber = _long_string(algorithm.serial)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.InstanceNumber = 1
    dataset.InstanceCreationDate = f"{now:%Y%m%d}"
    dataset.InstanceCreationTime = f"{now:%H%M%S.%f}"
    dataset.FrameOfReferenceUID = series.text("FrameOfReferenceUID")
    dataset.PositionReferenceIndicator = None
    header.put(dataset, ["PositionReferenceIndicator"])
    dataset.preamble = bytes(128)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    return dataset


def _series_number(series: Series) -> int:
    """Return the Series Number for an object derived from a series."""
    try:
        number = int(series.text("SeriesNumber"))
    except ValueError:
        number = 0
    return _SERIES_NUMBER_OFFSET + number if 0 <= number < 10**6 else _SERIES_NUMBER_OFFSET


def software_versions(algorithm: Algorithm) -> list[str]:
    """Return the versions of what made a result: the algorithm's, and this program's."""
    return [_long_string(algorithm.version), f"NativeDL {__version__}"]


def _long_string(text: str) -> str:
    if len(text) > _LONGEST or "\\" in text:
        raise ValueError(f"'{text[:80]}' is longer than {_LONGEST} characters or has a backslash")
    return text


def dataset_of(**attributes: Any) -> Dataset:
    """Return a data set, such as an item of a sequence, that has these values by keyword."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path) -> None:
    """Write a DICOM file (PS3.10) without pydicom's two copies of its pixels, which may be a stream."""
    if "PixelData" not in dataset:
        dataset.save_as(path, enforce_file_format=True)
        return
    pixels, size = dataset.PixelData, config.settings.buffered_read_size
    try:
        if isinstance(pixels, bytes):
            dataset.PixelData = BytesIO(pixels)
        config.settings.buffered_read_size = _AT_ONCE
        dataset.save_as(path, enforce_file_format=True)
    finally:
        dataset.PixelData, config.settings.buffered_read_size = pixels, size


def _ascii_text(text: str) -> str:
    """Return text in ASCII, letters without their marks."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(c if c.isascii() else "?" for c in plain if not unicodedata.combining(c))[: len(text) + 1]


def _bytes_of(element: DataElement | RawDataElement, owner: Dataset) -> bytes:
    if isinstance(element, RawDataElement):
        content = element.value or b""
    else:
        # It was decoded before: so it is encoded again, by the same rules.
        parts = element.value if element.VM > 1 else [element.value or ""]
        encodings = convert_encodings(owner.original_character_set)
        content = b"\\".join(encode_string(str(part), encodings) for part in parts)
    return content + b" " * (len(content) % 2)


def _fresh(element: DataElement) -> DataElement:
    """Return an element without the bytes that it came in."""
    if element.VR != "PN":
        return DataElement(element.tag, element.VR, element.value)
    names = element.value if element.VM > 1 else [element.value]
    return DataElement(element.tag, "PN", [str(name) for name in names])


def _own_text(dataset: Dataset) -> Iterator[DataElement]:
    """Return the elements of text that are not bytes of the source, at every level."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value or []:
                yield from _own_text(item)
        elif isinstance(element, DataElement) and element.VR in TEXT_VRS:
            yield element


def _fits(dataset: Dataset, encoding: str) -> bool:
    try:
        for element in _own_text(dataset):
            str(element.value).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _write_as_it_is(dataset: Dataset, implicit: bool) -> None:
    """Make a data set's own text ASCII, and mark it, with its items, as read in the encoding that it is written in."""
    for element in _own_text(dataset):
        parts = [_ascii_text(str(part)) for part in (element.value if element.VM > 1 else [element.value or ""])]
        element.value = parts if len(parts) > 1 else parts[0]
    _mark(dataset, implicit)


def _mark(dataset: Dataset, implicit: bool) -> None:
    terms = declared_terms(dataset)
    dataset.set_original_encoding(implicit, True, convert_encodings(list(terms)) if terms else default_encoding)
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value or []:
                _mark(item, implicit)
