"""Uncompressed pixels read straight from the file are what pydicom decodes; what is odd is left to pydicom."""

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series, pixels
from NativeDLLib.source.decoded import native_frame
from NativeDLLib.source.header import read_header

PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def one(folder, edit=lambda dataset: None, shape=(32, 40), syntax=ExplicitVRLittleEndian):
    voxels = np.zeros((1, *shape), np.int16)
    (file,) = factories.ct_series(folder, voxels, syntax=syntax, edit=lambda dataset, _: edit(dataset))
    return file


def noise(count, seed=3):
    return np.random.default_rng(seed).bytes(count)


def setting(**attributes):
    def edit(dataset):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return edit


def assert_as_pydicom(file):
    found, expected = native_frame(read_header(file), 0, None), pixel_array(file, index=0, raw=True)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(("allocated", "stored"), [(16, 16), (16, 15), (16, 12), (16, 1), (8, 8), (8, 7), (8, 3)])
def test_every_bit_is_read_as_pydicom_reads_it(tmp_path, syntax, signed, allocated, stored):
    edit = setting(
        BitsAllocated=allocated,
        BitsStored=stored,
        HighBit=stored - 1,
        PixelRepresentation=signed,
        PixelData=noise(32 * 40 * allocated // 8),
    )
    assert_as_pydicom(one(tmp_path, edit, syntax=syntax))


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 64)])
def test_odd_lengths_and_single_pixels_are_read(tmp_path, syntax, shape):
    count = shape[0] * shape[1]
    assert_as_pydicom(one(tmp_path / "16", setting(PixelData=noise(2 * count)), shape, syntax))
    edit = setting(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=noise(count + count % 2))
    assert_as_pydicom(one(tmp_path / "8", edit, shape, syntax))


@pytest.mark.parametrize("syntax", PLAIN)
def test_padding_at_the_end_and_elements_after_it_are_not_pixels(tmp_path, syntax):
    edit = setting(PixelData=noise(2 * 32 * 40 + 6), DataSetTrailingPadding=b"\1" * 64)
    assert_as_pydicom(one(tmp_path, edit, syntax=syntax))


def test_a_file_without_preamble_and_transfer_syntax_is_read(tmp_path):
    file = one(tmp_path, setting(PixelData=noise(2 * 32 * 40)), syntax=ImplicitVRLittleEndian)
    dataset = pydicom.dcmread(file)
    bare = pydicom.Dataset(dataset)
    bare.save_as(file, implicit_vr=True, little_endian=True, enforce_file_format=False)

    found = native_frame(read_header(file), 0, None)

    assert np.array_equal(found, np.frombuffer(dataset.PixelData, np.uint16).reshape(32, 40))


def floating(dataset):
    dataset.FloatPixelData = np.frombuffer(dataset.PixelData * 2, np.float32).tobytes()
    del dataset.PixelData


def undefined_length(file):
    content = file.read_bytes()
    start = content.rindex(b"\xe0\x7f\x10\x00OW\0\0") + 8
    file.write_bytes(content[:start] + b"\xff\xff\xff\xff" + content[start + 4 :])


def test_each_frame_of_many_is_read_from_its_place(tmp_path):
    planes = np.random.default_rng(4).integers(-1000, 3000, (5, 32, 40)).astype(np.int16)
    place = {"spacing": (1.0, 1.0, 2.0), "origin": (0.0, 0.0, 0.0)}
    header = read_header(factories.enhanced_ct(tmp_path / "e.dcm", planes, order=range(5), **place))

    for frame, plane in enumerate(planes):
        assert np.array_equal(native_frame(header, frame, None).astype(int) - 1024, plane)
    assert native_frame(header, 5, None) is None


@pytest.mark.parametrize("more", [0, 1, 100_000])
@pytest.mark.parametrize("frames", [1, 5])
def test_what_follows_a_deflated_stream_is_never_taken_for_pixels(tmp_path, more, frames):
    planes = np.random.default_rng(4).integers(-1000, 3000, (5, 32, 40)).astype(np.int16)
    if frames == 1:
        factories.ct_series(tmp_path, planes, syntax=DeflatedExplicitVRLittleEndian)
    else:
        place = {"spacing": (1.0, 1.0, 2.0), "origin": (0.0, 0.0, 0.0)}
        path = factories.enhanced_ct(tmp_path / "e.dcm", planes, order=range(5), **place)
        factories.save(pydicom.dcmread(path), path, DeflatedExplicitVRLittleEndian)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes() + bytes(more))

    image, _ = Series.read([tmp_path]).image()

    assert np.array_equal(sitk.GetArrayFromImage(image), planes)


def test_a_deflated_file_of_many_frames_is_inflated_once(tmp_path, monkeypatch):
    place = {"spacing": (1.0, 1.0, 2.0), "origin": (0.0, 0.0, 0.0)}
    path = factories.enhanced_ct(tmp_path / "e.dcm", factories.block(), order=range(6), **place)
    factories.save(pydicom.dcmread(path), path, DeflatedExplicitVRLittleEndian)
    series, times = Series.read([path]), []
    real = pixels.inflated_file
    monkeypatch.setattr(pixels, "inflated_file", lambda instance: times.append(instance) or real(instance))

    series.image()

    assert len(times) == 1


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_other_encodings_are_left_to_pydicom(tmp_path, syntax):
    assert native_frame(read_header(one(tmp_path, syntax=syntax)), 0, None) is None


@pytest.mark.parametrize(
    "edit",
    [
        setting(SamplesPerPixel=None),
        setting(PhotometricInterpretation="MONOCHROME3"),
        setting(BitsAllocated=32, BitsStored=32, PixelData=bytes(4 * 32 * 40)),
        setting(BitsStored=17),
        setting(BitsStored=0),
        setting(PixelRepresentation=2),
        setting(PixelRepresentation=[0, 1]),
        setting(Columns=41),
        setting(Rows=0),
        setting(PixelData=b""),
    ],
)
def test_whatever_is_odd_is_left_to_pydicom(tmp_path, edit):
    assert native_frame(read_header(one(tmp_path, edit)), 0, None) is None


def test_floating_point_pixels_are_left_to_pydicom(tmp_path):
    assert native_frame(read_header(one(tmp_path, floating, syntax=ImplicitVRLittleEndian)), 0, None) is None


def test_pixels_that_break_off_or_have_no_length_are_left_to_pydicom_and_refused(tmp_path):
    short, endless = one(tmp_path / "short"), one(tmp_path / "endless")
    short.write_bytes(short.read_bytes()[:-2])
    undefined_length(endless)

    assert native_frame(read_header(endless), 0, None) is None
    with pytest.raises(InputError, match=f"^{endless}: pixel data have 4294967295 bytes"):
        Series.read([endless]).image()
    with pytest.raises(InputError, match=f"^{short}: is a damaged DICOM file .its pixel data break off"):
        Series.read([short])
