"""Bits above those stored count for nothing, whatever the transfer syntax and whoever wrote them (PS3.5 8.1.1)."""

import encoders
import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series

UNCOMPRESSED = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
COMPRESSED = [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1]
# From -1000 to 2060: values that a sign, and twelve bits, hold.
VALUES = -1000 + 60 * np.arange(32)[:, None] + 30 * np.arange(40)


def written(folder, pattern, syntax, *, coded, stored, signed):
    """Write one slice of 16-bit patterns, coded in so many bits without a sign; its header says other bits and sign."""

    def as_coded(dataset, _):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = coded, coded - 1, 0
        dataset.PixelData = pattern.astype(np.uint16).tobytes()

    (file,) = factories.ct_series(folder, np.zeros((1, *pattern.shape)), syntax=syntax, edit=as_coded)
    dataset = pydicom.dcmread(file)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = stored, stored - 1, signed
    dataset.RescaleIntercept = 0
    dataset.save_as(file)
    return file


def read(file):
    return sitk.GetArrayFromImage(Series.read([file]).image()[0])[0]


def read_all(folder):
    return sitk.GetArrayFromImage(Series.read([folder]).image()[0])


def meant(pattern, stored, signed):
    kept = pattern & (2**stored - 1)
    return np.where(kept >= 2 ** (stored - 1), kept - 2**stored, kept) if signed else kept


@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
@pytest.mark.parametrize("overlay", [0, 0x5000, 0xF000], ids=["nothing above", "an overlay above", "ones above"])
@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, *COMPRESSED], ids=lambda syntax: syntax.keyword)
def test_what_lies_above_twelve_bits_stored_changes_no_value(tmp_path, syntax, overlay, signed):
    pattern = (VALUES & 0x0FFF) | overlay

    file = written(tmp_path, pattern, syntax, coded=16, stored=12, signed=signed)

    assert np.array_equal(read(file), meant(pattern, 12, signed))


@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.keyword)
def test_a_stream_of_twelve_bits_has_the_sign_of_its_image(tmp_path, syntax, signed):
    pattern = VALUES & 0x0FFF

    file = written(tmp_path, pattern, syntax, coded=12, stored=12, signed=signed)

    assert np.array_equal(read(file), meant(pattern, 12, signed))


@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
def test_high_throughput_jpeg_2000_keeps_no_more_than_the_bits_stored(tmp_path, signed):
    file = written(tmp_path, encoders.RAMP, HTJ2KLossless, coded=16, stored=8, signed=signed)

    assert np.array_equal(read(file), meant(encoders.RAMP, 8, signed))


@pytest.mark.parametrize("stored", [12, 16])
def test_a_signed_stream_of_jpeg_2000_keeps_its_sign(tmp_path, stored):
    def edit(dataset, _):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = stored, stored - 1, 1
        dataset.RescaleIntercept, dataset.PixelData = 0, VALUES.astype(np.int16).tobytes()

    (file,) = factories.ct_series(tmp_path, np.zeros((1, *VALUES.shape)), syntax=JPEG2000Lossless, edit=edit)

    assert np.array_equal(read(file), VALUES)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda s: s.keyword)
def test_a_stream_with_fewer_bits_than_the_signed_image_is_refused_where_its_sign_is_unknown(tmp_path, syntax):
    unknown = written(tmp_path / "unknown", VALUES & 0x0FFF, syntax, coded=12, stored=16, signed=1)
    positive = written(tmp_path / "positive", VALUES + 1000 >> 1, syntax, coded=12, stored=16, signed=1)

    with pytest.raises(InputError, match="12 bits without a sign, the image has 16 with one: what they mean is unk"):
        read(unknown)
    assert np.array_equal(read(positive), VALUES + 1000 >> 1)


def test_signed_jpeg_ls_of_twelve_bits_as_dcmtk_writes_it(real_data):
    noise, body = (real_data / "field_cases" / "dicom" / name for name in ("jls_signed12", "jls_signed12_ct"))

    assert read_all(body)[:, 0, 0].tolist() == [-1000] * 6
    assert read_all(body).max() == 300
    assert (read_all(noise).min(), read_all(noise).max()) == (-1000, 999)
