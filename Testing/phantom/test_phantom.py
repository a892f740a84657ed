from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.phantom.torso import LABELS, make_phantom

SIZE, SPACING = (130, 110, 110), (3.0, 3.0, 3.0)
LIVER, VERTEBRAE, SACRUM = 1, 2, 3


@pytest.fixture(scope="module", params=[1, 2, 3])
def phantom(request: pytest.FixtureRequest) -> tuple[sitk.Image, sitk.Image]:
    return make_phantom(request.param, SIZE, SPACING, centre=(0, 10, 130))


def middle(labels: sitk.Image, label: int) -> np.ndarray:
    """The centre of gravity of a label in mm, LPS."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(labels)
    return np.array(shape.GetCentroid(label))


def test_the_same_seed_gives_the_same_patient_and_another_seed_another() -> None:
    first, again, other = (sitk.GetArrayFromImage(make_phantom(s, (40, 36, 10), (9, 9, 20))[0]) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 10


def test_images_have_the_size_spacing_and_centre_that_were_asked_for() -> None:
    for image in make_phantom(1, (40, 30, 12), (9.0, 10.0, 12.5), centre=(5, -4, 100)):
        assert image.GetSize() == (40, 30, 12)
        assert image.GetSpacing() == (9.0, 10.0, 12.5)
        corner = np.array(image.GetOrigin()) * 2 + [39 * 9, 29 * 10, 11 * 12.5]
        assert corner / 2 == pytest.approx([5, -4, 100])


def test_every_named_structure_is_there(phantom: tuple[sitk.Image, sitk.Image]) -> None:
    assert set(np.unique(sitk.GetArrayViewFromImage(phantom[1]))) == {0, *LABELS}


def test_the_liver_lies_on_the_patients_right_and_the_spine_at_the_back(phantom: tuple[sitk.Image, sitk.Image]) -> None:
    liver, spine = middle(phantom[1], LIVER), middle(phantom[1], VERTEBRAE)
    assert liver[0] < spine[0] - 30
    assert liver[1] < spine[1] - 20


def test_the_sacrum_lies_below_the_vertebrae(phantom: tuple[sitk.Image, sitk.Image]) -> None:
    assert middle(phantom[1], SACRUM)[2] < middle(phantom[1], VERTEBRAE)[2] - 80


def test_the_liver_has_a_plausible_volume(phantom: tuple[sitk.Image, sitk.Image]) -> None:
    millilitres = (sitk.GetArrayViewFromImage(phantom[1]) == LIVER).sum() * 0.027
    assert 900 < millilitres < 2600


def test_hounsfield_units_are_those_of_the_tissues(phantom: tuple[sitk.Image, sitk.Image]) -> None:
    ct, labels = (sitk.GetArrayFromImage(image) for image in phantom)
    assert ct.dtype == np.int16
    assert ct.min() >= -1024
    assert 20 < np.median(ct[labels == LIVER]) < 140
    assert 110 < ct[labels == VERTEBRAE].mean() < 500
    assert np.median(ct[:, :4]) == pytest.approx(-1000, abs=15)  # the air in front of the patient


def test_a_field_of_view_beside_the_patient_is_air() -> None:
    ct, labels = make_phantom(4, (20, 20, 5), (2, 2, 2), centre=(900, -900, 100))
    assert sitk.GetArrayViewFromImage(ct).max() < -800
    assert not sitk.GetArrayViewFromImage(labels).any()


def test_noise_is_weaker_in_thicker_slices() -> None:
    deviations = []
    for thickness in (1.25, 10.0):
        ct, labels = make_phantom(8, (128, 112, 4), (2.5, 2.5, thickness), centre=(0, 10, 190))
        inside = sitk.BinaryErode(labels == LIVER, (4, 4, 0))
        deviations.append(sitk.GetArrayFromImage(ct)[sitk.GetArrayFromImage(inside) > 0].std())
    assert deviations[1] < deviations[0]
