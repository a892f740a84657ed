"""Writing a data set as a file."""

from io import BytesIO
from pathlib import Path

from pydicom import config
from pydicom.dataset import Dataset

_AT_ONCE = 2**20


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
