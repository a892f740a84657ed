"""Values that are no Hounsfield units are told from unusual ones that are."""

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.data import get_testdata_file

from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.quality.hounsfield import not_hounsfield
from NativeDLLib.source import Series


@pytest.fixture(scope="module")
def hu():
    image, _ = make_phantom(4, (128, 112, 30), (3.0, 3.0, 6.0))
    return sitk.GetArrayFromImage(image).astype(np.int32)


def window(values):
    return np.clip((values + 160) / 400 * 255, 0, 255).astype(np.int32)


FAULTS = {
    "stored values without their intercept": (lambda v: np.clip(v + 1024, 0, 4095), "RescaleIntercept"),
    "the intercept added the wrong way": (lambda v: v + 1000, "RescaleIntercept"),
    "the intercept subtracted twice": (lambda v: v - 1024, "below -1200"),
    "inverted": (lambda v: -v, "inverted"),
    "inverted stored values": (lambda v: 4095 - np.clip(v + 1024, 0, 4095), "inverted"),
    "a picture of 8 bits": (window, "8 bits"),
    "a picture of 8 bits with the intercept of a CT": (lambda v: window(v) - 1024, "no tissue"),
    "scaled to one": (lambda v: (v - v.min()) / np.ptp(v), "run from 0 to 1"),
    "normalised": (lambda v: (v - v.mean()) / v.std(), "only run from"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_figures(hu, fault):
    change, expected = FAULTS[fault]

    assert not_hounsfield(hu) == ""
    assert expected in not_hounsfield(change(hu))


@pytest.mark.parametrize("kind", ["ED", "Z_EFF", "MGML"])
def test_another_quantity_is_known_by_its_rescale_type(hu, kind):
    assert not_hounsfield(hu, kind) == f"RescaleType is '{kind}'"
    assert not_hounsfield(hu, "HU") == not_hounsfield(hu, "US") == ""


def noise(level, shape=(20, 64, 64), sigma=12):
    return np.rint(np.random.default_rng(5).normal(level, sigma, shape)).astype(np.int32)


def cylinder(level, around):
    values = noise(around)
    y, x = np.indices((64, 64)) - 32
    values[:, np.hypot(x, y) < 20] = noise(level)[:, np.hypot(x, y) < 20]
    return values


def padded(values, padding):
    y, x = np.indices(values.shape[1:]) - values.shape[1] / 2
    values = values.copy()
    values[:, np.hypot(x, y) > values.shape[1] / 2] = padding
    return values


UNUSUAL = {
    "air alone": lambda: noise(-1000, sigma=30),
    "air of one value": lambda: np.full((9, 32, 32), -1000),
    "water in air": lambda: cylinder(0, -1000),
    "water alone": lambda: noise(0),
    "acrylic in air beyond which there is padding": lambda: padded(cylinder(120, -1000), -3024),
    "air with padding": lambda: padded(noise(-1000, sigma=25), -2000),
    "lung": lambda: np.where(noise(0, sigma=1) > 1, noise(30), noise(-860, sigma=60)),
    "liver with contrast": lambda: noise(120, sigma=18),
    "bone": lambda: noise(600, sigma=350),
    "metal with its streaks": lambda: np.where(noise(0, sigma=1) > 2, 3071, noise(40, sigma=300)),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_what_is_unusual_and_right_is_let_pass(what):
    assert not_hounsfield(UNUSUAL[what]()) == ""


def test_a_narrow_field_of_view_without_air_is_let_pass_and_its_faults_are_not(hu):
    narrow = hu[:, 55:70, 55:70]
    assert (narrow > -500).all()

    assert not_hounsfield(narrow) == ""
    assert "RescaleIntercept" in not_hounsfield(narrow + 1024)


@pytest.mark.parametrize("folder", ["upper_abdomen_ct_dicom", "liver_spine_ct_dicom", "torso_ct_3mm", "tilted_head"])
def test_real_scans_are_let_pass_whole_and_cropped(real_data, folder):
    if folder == "torso_ct_3mm":
        image = sitk.ReadImage(str(real_data / folder / "ct.nii.gz"))
    elif folder == "tilted_head":
        image = sitk.ReadImage(sorted(map(str, (real_data / "tilted_head_ct_dicom").glob("*.dcm"))))
    else:
        image, _ = Series.read([real_data / folder]).image()
    values = sitk.GetArrayFromImage(image).astype(np.int32)
    _, y, x = values.shape

    for part in (
        values,
        values[:, y // 3 : 2 * y // 3, x // 3 : 2 * x // 3],
        values[:, y // 2 :, x // 2 : x // 2 + 40],
    ):
        assert not_hounsfield(part) == ""
        assert not_hounsfield(part + 1024) != ""


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KI.dcm"])
def test_slices_of_other_scanners_are_let_pass(name):
    dataset = dcmread(get_testdata_file(name, download=False))
    values = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)

    assert not_hounsfield(values[None], str(dataset.get("RescaleType", ""))) == ""
