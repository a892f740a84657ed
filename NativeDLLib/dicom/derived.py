"""Attributes that instances derived from a series share: patient, study and origin (PS3.3 C.7.1 to C.7.5)."""

import datetime
from io import BytesIO
from pathlib import Path

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from NativeDLLib import __version__
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.dicom.source_header import SourceHeader, derived_series_number
from NativeDLLib.dicom.valid import ATTRIBUTES, PATIENT_AND_STUDY, settle

MANUFACTURER = "NativeDL"
_LONGEST = 64
_AT_ONCE = 2**20


def derived_instance(
    header: SourceHeader, algorithm: Algorithm, sop_class: str, modality: str, title: str, transfer_syntax: UID
) -> Dataset:
    """The only instance of a new series in the study of a source, without content yet. `SourceHeader.finish` is to be
    called once everything is there. ValueError where a text is no Long String (over 64 characters, a backslash).
    """
    now, series = datetime.datetime.now(), header.series
    dataset = Dataset()
    for module in PATIENT_AND_STUDY:
        header.put(dataset, ATTRIBUTES[module].split())
    dataset.StudyInstanceUID = series.text("StudyInstanceUID")
    settle(dataset)
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = derived_series_number(series)
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


def software_versions(algorithm: Algorithm) -> list[str]:
    """Return the versions of what made a result: the algorithm's, and this program's."""
    return [_long_string(algorithm.version), f"NativeDL {__version__}"]


def _long_string(text: str) -> str:
    if len(text) > _LONGEST or "\\" in text:
        raise ValueError(f"'{text[:80]}' is longer than {_LONGEST} characters or has a backslash")
    return text


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
