"""What a file says of its size is checked before memory is taken or a decoder believes it."""

import factories
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series

CODED = [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1]
# Where rows and columns stand after the marker that they follow, and in how many bytes.
SIZES = {
    JPEG2000Lossless: (b"\xff\x51", 10, 6, 4),
    JPEGLSLossless: (b"\xff\xf7", 5, 7, 2),
    JPEGLosslessSV1: (b"\xff\xc3", 5, 7, 2),
}


def with_frame(file, change):
    dataset = pydicom.dcmread(file)
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    dataset.PixelData = encapsulate([bytes(change(frame))])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(file)


@pytest.mark.parametrize("which", [0, 1], ids=["rows", "columns"])
@pytest.mark.parametrize("value", [1, 64, 65535])
@pytest.mark.parametrize("syntax", CODED, ids=lambda syntax: syntax.keyword)
def test_a_stream_of_another_size_than_its_image_is_never_decoded(tmp_path, syntax, value, which):
    marker, *places, length = SIZES[syntax]

    def lie(frame):
        at = frame.index(marker) + places[which]
        frame[at : at + length] = value.to_bytes(length, "big")
        return frame

    files = factories.ct_series(tmp_path, syntax=syntax)
    with_frame(files[2], lie)

    with pytest.raises(InputError, match=f"^{files[2]}: pixel data .* the image is 32 rows x 40 columns of 1 x 16"):
        Series.read([tmp_path]).image()


@pytest.mark.parametrize("syntax", CODED, ids=lambda syntax: syntax.keyword)
def test_a_stream_that_does_not_say_its_size_is_refused(tmp_path, syntax):
    files = factories.ct_series(tmp_path, syntax=syntax)
    with_frame(files[2], lambda frame: frame[:2] + bytes(40))

    with pytest.raises(InputError, match=f"^{files[2]}: pixel data .* cannot be decoded: they are damaged$"):
        Series.read([tmp_path]).image()


def test_what_follows_the_pixels_of_a_deflated_file_is_not_inflated(tmp_path):
    files = factories.ct_series(tmp_path)
    factories.deflate(files[2], lambda inner: inner + bytes(50 * 2**20))

    values = Series.read([tmp_path]).image()[0]

    assert values.GetSize() == (40, 32, 6)


def test_deflated_pixels_that_are_more_than_the_image_are_refused(tmp_path):
    def longer(inner):
        at = inner.rindex(b"\xe0\x7f\x10\0OW\0\0") + 8
        return inner[:at] + (200 * 2**20).to_bytes(4, "little") + inner[at + 4 :] + bytes(200 * 2**20)

    files = factories.ct_series(tmp_path)
    factories.deflate(files[2], longer)

    with pytest.raises(InputError, match=f"^{files[2]}: .*deflated pixel data are longer than the image"):
        Series.read([tmp_path])


def test_a_header_that_inflates_without_end_is_refused(tmp_path):
    files = factories.ct_series(tmp_path)
    factories.deflate(files[2], lambda inner: b"\x09\0\1\0UN\0\0\0\0\0\x40" + bytes(2**27))

    with pytest.raises(InputError, match=f"1 slice.* missing.*; {files[2]}: is a damaged DICOM file"):
        Series.read([tmp_path])


def test_cases_from_the_field(real_data):
    cases = real_data / "field_cases" / "security"

    assert Series.read([cases / "deflate_57kB_hang"]).image()[0].GetSize() == (64, 64, 5)
    with pytest.raises(InputError, match="are 65535 rows x 65535 columns of 1 x 16 bits, the image is 64 rows x 64"):
        Series.read([cases / "jls_abort"]).image()
