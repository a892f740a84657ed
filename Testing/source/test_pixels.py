import factories
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import MRImageStorage

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series


def read(folder):
    image, notes = Series.read([folder]).image()
    return sitk.GetArrayFromImage(image), notes


def setting(**attributes):
    def edit(dataset, _):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return edit


def stored(plane, dtype=np.uint16):
    return plane.astype(dtype).tobytes()


def noisy():
    noise = np.random.default_rng(7).integers(0, 40, (6, 32, 40))
    return (factories.block() + noise).astype(np.int16)


def test_slope_and_intercept_are_those_of_each_slice(tmp_path):
    def edit(dataset, index):
        dataset.RescaleSlope = index + 1
        dataset.RescaleIntercept = -100 * index
        dataset.PixelData = stored(np.full((32, 40), 50))

    factories.ct_series(tmp_path, edit=edit)
    values, _ = read(tmp_path)

    assert values.dtype == np.int16
    assert values[:, 0, 0].tolist() == [50, 0, -50, -100, -150, -200]


def test_fractional_slopes_give_fractional_values(tmp_path):
    def edit(dataset, index):
        dataset.RescaleSlope = "0.25"
        dataset.RescaleIntercept = "-10.5"
        dataset.PixelData = stored(np.full((32, 40), 4 * index + 1))

    factories.ct_series(tmp_path, edit=edit)
    values, _ = read(tmp_path)

    assert values.dtype == np.float32
    assert values[:, 0, 0].tolist() == [-10.25, -9.25, -8.25, -7.25, -6.25, -5.25]


def test_missing_slopes_and_intercepts_are_taken_for_1_and_0_with_a_warning(tmp_path):
    def edit(dataset, _):
        del dataset.RescaleSlope, dataset.RescaleIntercept

    factories.ct_series(tmp_path, edit=edit)
    values, _ = read(tmp_path)
    slope, intercept = Series.read([tmp_path]).warnings

    assert np.array_equal(values, factories.block().astype(np.int32) + 1024)
    assert slope.endswith("there is no RescaleSlope; it is taken to be 1")
    assert intercept.endswith("there is no RescaleIntercept; it is taken to be 0")


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_slice_that_alone_lacks_its_rescaling_is_refused(tmp_path, keyword):
    files = factories.ct_series(tmp_path, edit=lambda ds, i: delattr(ds, keyword) if i == 3 else None)

    with pytest.raises(InputError, match=f"^{files[3]}: has no {keyword}, which 5 of the 6 instances have"):
        Series.read([tmp_path])


def test_a_slope_of_0_is_refused(tmp_path):
    files = factories.ct_series(tmp_path, edit=lambda ds, i: setattr(ds, "RescaleSlope", int(i != 3)))

    with pytest.raises(InputError, match=f"^{files[3]}: RescaleSlope is 0"):
        Series.read([tmp_path])


@pytest.mark.parametrize(("slope", "intercept"), [("1e38", "0"), ("1", "1e39"), ("0.5", "1e39")])
def test_values_beyond_all_numbers_are_refused(tmp_path, slope, intercept):
    files = factories.ct_series(tmp_path, edit=setting(RescaleSlope=slope, RescaleIntercept=intercept))

    with pytest.raises(InputError, match=f"^{files[0]}: its rescaled values are too large"):
        read(tmp_path)


def test_signed_values_keep_their_sign(tmp_path):
    def edit(dataset, index):
        dataset.PixelRepresentation = 1
        dataset.RescaleIntercept = 0
        dataset.PixelData = stored(noisy()[index], np.int16)

    factories.ct_series(tmp_path, edit=edit)

    assert np.array_equal(read(tmp_path)[0], noisy())


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_those_stored_count_for_nothing(tmp_path, signed):
    def edit(dataset, index):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, signed
        dataset.RescaleIntercept = 0 if signed else -1024
        plane = noisy()[index].astype(np.int32) + (0 if signed else 1024)
        dataset.PixelData = stored((plane & 0x0FFF) | 0x5000)

    factories.ct_series(tmp_path, edit=edit)

    assert np.array_equal(read(tmp_path)[0], noisy())


def test_values_beyond_16_bits_are_kept_as_floating_point(tmp_path):
    def edit(dataset, index):
        dataset.PixelData = stored(np.full((32, 40), 60000 if index == 4 else 100))

    factories.ct_series(tmp_path, edit=edit)
    values, _ = read(tmp_path)

    assert values.dtype == np.float32
    assert values[:, 0, 0].tolist() == [-924, -924, -924, -924, 60000 - 1024, -924]


def padded(value, representation, level):
    """Return an edit that puts stored `level` into the first column and declares `value` as padding, as `US`/`SS`."""

    def edit(dataset, index):
        dataset.PixelRepresentation = representation
        dataset.RescaleIntercept = 0 if representation else -1024
        plane = factories.block()[index].astype(np.int32) + (0 if representation else 1024)
        plane[:, 0] = level
        dataset.PixelData = stored(plane, np.int16 if representation else np.uint16)
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)

    return edit


@pytest.mark.parametrize(
    ("value", "representation", "level"),
    [
        pytest.param(-2000, 1, -2000, id="signed"),
        pytest.param(0, 0, 0, id="unsigned"),
        pytest.param(63536, 1, -2000, id="signed image, value written unsigned"),
        pytest.param(-2000, 0, 63536, id="unsigned image, value written signed"),
    ],
)
def test_padding_outside_the_body_is_air(tmp_path, value, representation, level):
    factories.ct_series(tmp_path, edit=padded(value, representation, level))
    values, notes = read(tmp_path)

    assert (values[:, :, 0] == -1024).all()
    assert np.array_equal(values[:, :, 1:], factories.block()[:, :, 1:])
    assert notes == []


def test_a_range_of_padding_is_air(tmp_path):
    def edit(dataset, index):
        padded(-2000, 1, -2000)(dataset, index)
        plane = np.frombuffer(dataset.PixelData, np.int16).reshape(32, 40).copy()
        plane[:, 1] = -1500
        dataset.PixelData = plane.tobytes()
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1400)

    factories.ct_series(tmp_path, edit=edit)
    values, _ = read(tmp_path)

    assert (values[:, :, :2] == -1024).all()
    assert np.array_equal(values[:, :, 2:], factories.block()[:, :, 2:])


def test_padding_that_tissue_can_have_is_left_with_a_warning(tmp_path):
    factories.ct_series(tmp_path, edit=padded(1024, 0, 1024))
    values, notes = read(tmp_path)

    assert (values[:, :, 0] == 0).all()
    assert notes == ["PixelPaddingValue stands for 0 HU, which tissue can have: left as it is"]


def test_a_range_of_padding_that_reaches_into_tissue_is_left_with_a_warning(tmp_path):
    def edit(dataset, index):
        padded(300, 1, 4000)(dataset, index)
        dataset.add_new("PixelPaddingRangeLimit", "SS", 5000)

    factories.ct_series(tmp_path, edit=edit)
    values, notes = read(tmp_path)

    assert (values[:, :, 1:] == factories.block()[:, :, 1:]).all()
    assert notes[-1] == "PixelPaddingValue stands for 300 HU, which tissue can have: left as it is"


def mr(edit):
    def both(dataset, index):
        dataset.SOPClassUID, dataset.Modality = MRImageStorage, "MR"
        edit(dataset, index)

    return both


def test_padding_of_an_mr_takes_the_lowest_other_value(tmp_path):
    def edit(dataset, index):
        plane = np.full((32, 40), 200 + index)
        plane[:, 0] = 0
        dataset.RescaleIntercept, dataset.PixelPaddingValue = 0, 0
        dataset.PixelData = stored(plane)

    factories.ct_series(tmp_path, edit=mr(edit))
    values, _ = read(tmp_path)

    assert (values[:, :, 0] == 200).all()
    assert values[:, 5, 5].tolist() == [200, 201, 202, 203, 204, 205]


def test_an_mr_of_nothing_but_padding_is_refused(tmp_path):
    edit = mr(setting(PixelPaddingValue=0, PixelData=bytes(2 * 32 * 40)))
    factories.ct_series(tmp_path, edit=edit)

    with pytest.raises(InputError, match="every pixel of the series is padding"):
        read(tmp_path)


def test_a_colour_image_is_refused(tmp_path):
    edit = setting(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, PixelData=bytes(7680))
    files = factories.ct_series(tmp_path, edit=edit)

    with pytest.raises(InputError, match=f"^{files[0]}: is not a grey-scale image, but RGB"):
        Series.read([tmp_path])


def test_several_padding_values_are_all_air(tmp_path):
    def edit(dataset, index):
        padded(-2000, 1, -2000)(dataset, index)
        plane = np.frombuffer(dataset.PixelData, np.int16).reshape(32, 40).copy()
        plane[:, 1] = -3000
        dataset.PixelData = plane.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", [-2000, -3000])

    factories.ct_series(tmp_path, edit=edit)
    values, notes = read(tmp_path)

    assert (values[:, :, :2] == -1024).all()
    assert np.array_equal(values[:, :, 2:], factories.block()[:, :, 2:])
    assert notes == []


def test_several_padding_values_from_the_field_are_read(real_data):
    assert read(real_data / "field_cases" / "dicom" / "padmulti")[0].shape == (6, 32, 40)
