import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from NativeDLLib.dicom.derived import save


@pytest.mark.parametrize("size", [1000, 3 * 2**20 + 2])
def test_a_file_is_what_pydicom_writes_and_the_data_set_stays_as_it_was(tmp_path, size):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3"
    dataset.BitsAllocated, dataset.PatientName = 8, "Doe^Jane"
    dataset.PixelData = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    before, read_size = dataset.PixelData, pydicom.config.settings.buffered_read_size

    dataset.save_as(tmp_path / "theirs.dcm", enforce_file_format=True)
    save(dataset, tmp_path / "ours.dcm")

    assert (tmp_path / "ours.dcm").read_bytes() == (tmp_path / "theirs.dcm").read_bytes()
    assert dataset.PixelData is before
    assert pydicom.config.settings.buffered_read_size == read_size


def test_where_it_cannot_be_written_the_data_set_stays_as_it_was(tmp_path):
    dataset = Dataset()
    dataset.BitsAllocated, dataset.PixelData = 8, b"\1\2"
    with pytest.raises(ValueError, match="encoding"):
        save(dataset, tmp_path / "no meta.dcm")
    assert dataset.PixelData == b"\1\2"
