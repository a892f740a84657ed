"""What instances derived from a series have in common: whose they are, and what made them (PS3.3 C.7.1 to C.7.5)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from NativeDLLib import __version__
from NativeDLLib.dicom.module_attributes import ATTRIBUTES, PATIENT_AND_STUDY
from NativeDLLib.dicom.source_header import derived_series_number
from NativeDLLib.source.series import Series

MANUFACTURER = "NativeDL"
_LONGEST = 64


@dataclass(frozen=True)
class Algorithm:
    """What made the result.

    Attributes
    ----------
    name, version
        As in the registry.
    title
        For people: it becomes the series description.
    source
        Who is behind it, at most 64 characters.
    serial
        What tells this build of it from others: the start of its weights' digest.
    parameters
        The effective parameters, in words.
    """

    name: str
    version: str
    title: str
    source: str
    serial: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def derived_instance(
    series: Series,
    header: Dataset,
    charset: str,
    algorithm: Algorithm,
    *,
    sop_class: str,
    modality: str,
    title: str,
    transfer_syntax: UID,
) -> Dataset:
    """Make the only instance of a new series in the study of a source, with nothing yet of what it is to hold.

    Parameters
    ----------
    series
        The source.
    header, charset
        As `source_header` returns them.
    algorithm
        What made it.
    sop_class, modality, title
        SOP Class UID, Modality and Series Description.
    transfer_syntax
        The encoding in which it is to be written.

    Raises
    ------
    AttributeError
        Where the source has no study.
    ValueError
        Where a text is no Long String: longer than 64 characters, or with a backslash.
    """
    now = datetime.datetime.now()
    dataset = Dataset()
    carry_over(header, dataset, PATIENT_AND_STUDY)
    dataset.StudyInstanceUID = header.StudyInstanceUID
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = derived_series_number(series)
    dataset.SeriesDescription = _long_string(title)
    dataset.Modality = modality
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = _long_string(algorithm.name)
    dataset.SoftwareVersions = software_versions(algorithm)
    dataset.DeviceSerialNumber = _long_string(algorithm.serial)
    dataset.SpecificCharacterSet = charset
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.InstanceNumber = 1
    dataset.InstanceCreationDate = f"{now:%Y%m%d}"
    dataset.InstanceCreationTime = f"{now:%H%M%S.%f}"
    dataset.FrameOfReferenceUID = series.text("FrameOfReferenceUID")
    dataset.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    dataset.preamble = bytes(128)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    return dataset


def carry_over(header: Dataset, dataset: Dataset, modules: Iterable[str]) -> None:
    """Give a data set what a header has of some modules, each named as in `ATTRIBUTES`."""
    for module in modules:
        for keyword in ATTRIBUTES[module].split():
            if keyword in header:
                dataset[keyword] = header[keyword]


def software_versions(algorithm: Algorithm) -> list[str]:
    """Return the versions of what made a result: the algorithm's, and this program's."""
    return [_long_string(algorithm.version), f"NativeDL {__version__}"]


def _long_string(text: str) -> str:
    if len(text) > _LONGEST or "\\" in text:
        raise ValueError(f"'{text[:80]}' is longer than {_LONGEST} characters or has a backslash")
    return text
