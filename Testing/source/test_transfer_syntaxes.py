from pathlib import Path

import encoders
import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from NativeDLLib.core.errors import CancelledError, InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.source import Series
from NativeDLLib.source.decoded import decoded_frame
from NativeDLLib.source.header import read_header


def read(folder):
    image, notes = Series.read([folder]).image()
    return sitk.GetArrayFromImage(image), notes


def setting(**attributes):
    def edit(dataset, _):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return edit


def noisy():
    noise = np.random.default_rng(7).integers(0, 40, (6, 32, 40))
    return (factories.block() + noise).astype(np.int16)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
        JPEGLosslessSV1,
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_every_transfer_syntax_gives_the_same_values(tmp_path, syntax):
    files = factories.ct_series(tmp_path, noisy(), syntax=syntax)

    values, notes = read(tmp_path)

    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID == syntax
    assert values.dtype == np.int16
    assert np.array_equal(values, noisy())
    assert notes == []


def test_high_throughput_jpeg_2000_gives_its_values(tmp_path):
    factories.ct_series(tmp_path, encoders.RAMP[None] - 1024, syntax=HTJ2KLossless)

    assert np.array_equal(read(tmp_path)[0][0], encoders.RAMP - 1024)


@pytest.mark.parametrize(
    "copy", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_expb"]
)
def test_files_that_others_compressed_give_the_values_of_the_original(copy):
    original = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array
    instance = read_header(Path(get_testdata_file(f"{copy}.dcm")))

    assert np.array_equal(decoded_frame(instance, 0, original.shape), original)


def test_lossy_jpeg_of_12_bits_is_named_as_what_no_decoder_reads(tmp_path):
    size = bytes([12, 0, 32, 0, 40, 1, 1, 0x11, 0])
    frame = b"\xff\xd8\xff\xc1" + (2 + len(size)).to_bytes(2, "big") + size + b"\xff\xd9"

    def edit(dataset, _):
        dataset.BitsStored, dataset.HighBit = 12, 11

    for path in factories.ct_series(tmp_path, edit=edit):
        dataset = pydicom.dcmread(path)
        dataset.PixelData, dataset.file_meta.TransferSyntaxUID = encapsulate([frame]), JPEGExtended12Bit
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)

    with pytest.raises(InputError, match=r"JPEG Extended .* have 12 bits, which no decoder here reads"):
        read(tmp_path)


def test_truncated_pixel_data_are_refused_with_the_file(tmp_path):
    files = factories.ct_series(tmp_path)
    files[2].write_bytes(files[2].read_bytes()[:-7])

    with pytest.raises(InputError, match=f"^{files[2]}: is a damaged DICOM file .its pixel data break off"):
        read(tmp_path)


def test_pixel_data_of_another_size_are_refused_with_the_file(tmp_path):
    files = factories.ct_series(tmp_path, edit=lambda ds, i: setattr(ds, "PixelData", bytes(100)) if i == 2 else None)

    with pytest.raises(InputError, match=f"^{files[2]}: pixel data have 100 bytes, which are not 1 x 32 rows"):
        read(tmp_path)


@pytest.mark.parametrize(("keyword", "wrong"), [("Rows", 31), ("Columns", 20), ("BitsAllocated", 8)])
def test_pixel_data_that_are_too_long_are_refused_with_the_file(tmp_path, keyword, wrong):
    files = factories.ct_series(tmp_path, edit=setting(**{keyword: wrong}))

    with pytest.raises(InputError, match=f"^{files[0]}: pixel data"):
        read(tmp_path)


def test_a_few_bytes_after_the_pixels_do_no_harm(tmp_path):
    def edit(dataset, _):
        dataset.PixelData += bytes(10)

    factories.ct_series(tmp_path, edit=edit)

    assert np.array_equal(read(tmp_path)[0], factories.block())


def test_a_compressed_image_of_another_size_is_refused_with_the_file(tmp_path):
    files = factories.ct_series(tmp_path, syntax=JPEG2000Lossless)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.Rows = 30
        dataset.save_as(file)

    with pytest.raises(InputError, match=f"^{files[0]}: pixel data"):
        read(tmp_path)


def test_a_size_that_no_memory_holds_is_refused_with_the_file(tmp_path):
    files = factories.ct_series(tmp_path, edit=setting(Rows=65535, Columns=65535, PixelSpacing=[0.01, 0.01]))

    with pytest.raises(InputError, match=f"^{files[0]}: pixel data"):
        read(tmp_path)


def test_a_transfer_syntax_that_nobody_reads_is_named(tmp_path):
    files = factories.ct_series(tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
        dataset.PixelData = encapsulate([b"\0\0\1\xb3" + bytes(100)])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(file)

    with pytest.raises(InputError, match=rf"^{files[0]}: pixel data \(MPEG2 .*\) are compressed in a way that no"):
        read(tmp_path)


def test_reading_stops_when_it_is_cancelled(tmp_path):
    factories.ct_series(tmp_path)
    progress = Progress()
    progress.cancel()

    with pytest.raises(CancelledError):
        Series.read([tmp_path]).image(progress)


@pytest.mark.parametrize(
    "syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1, RLELossless], ids=lambda syntax: syntax.keyword
)
def test_compressed_pixel_data_that_break_off_are_refused(tmp_path, syntax):
    files = factories.ct_series(tmp_path, noisy(), syntax=syntax)
    files[5].write_bytes(files[5].read_bytes()[:-100])

    with pytest.raises(InputError, match=f"^{files[5]}: is a damaged DICOM file .its compressed pixel data break off"):
        read(tmp_path)


def test_what_a_decoder_remarks_becomes_a_warning(tmp_path, capfd):
    files = factories.ct_series(tmp_path, noisy(), syntax=JPEGLosslessSV1)
    content = files[5].read_bytes()
    end = content.rindex(b"\xff\xd9")
    files[5].write_bytes(content[: end - 40] + b"\xff\xd9" + content[end - 38 :])

    _, notes = read(tmp_path)

    assert notes == ["a decoder says that pixel data may be damaged: look at the images themselves"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("right", "wrong"), [(b"OB\0\0\xff\xff\xff\xff", b"OB\0\0\xff\xff\xff\x7f"), (b"OB\0\0", b"OX\0\0")]
)
def test_compressed_pixel_data_under_a_broken_element_are_refused(tmp_path, right, wrong):
    files = factories.ct_series(tmp_path, syntax=RLELossless)
    content = files[5].read_bytes()
    at = content.rindex(b"\xe0\x7f\x10\x00")
    files[5].write_bytes(content[:at] + content[at:].replace(right, wrong, 1))

    with pytest.raises(InputError, match=f"^{files[5]}: is a damaged DICOM file"):
        read(tmp_path)
