import factories
import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.inference.preprocess import prepare, resample_linearly, restore
from NativeDLLib.registry.load import make_model


def contract(tmp_path, **changes):
    entry = factories.entry()
    entry["input"] = entry["input"] | changes
    return make_model(entry, tmp_path / "registry.json").input


def ramp(size=(20, 24, 16), spacing=(0.8, 0.9, 2.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    """An image whose value is the patient's x coordinate plus ten times the z coordinate."""
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    image.SetOrigin((-30.0, 12.0, 50.0))
    z, y, x = np.indices(size[::-1])
    matrix = np.array(direction).reshape(3, 3) * np.array(spacing)
    points = np.stack([x, y, z], axis=-1) @ matrix.T + np.array(image.GetOrigin())
    filled = sitk.GetImageFromArray((points[..., 0] + 10 * points[..., 2]).astype(np.float32))
    filled.CopyInformation(image)
    return filled


ANGLE = np.deg2rad(20)
DIRECTIONS = [
    (1, 0, 0, 0, 1, 0, 0, 0, 1),
    (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    (0, 0, 1, 1, 0, 0, 0, 1, 0),
    (np.cos(ANGLE), -np.sin(ANGLE), 0, np.sin(ANGLE), np.cos(ANGLE), 0, 0, 0, 1),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (3.0, 3.0, 3.0), (0.6, 0.7, 1.1)])
def test_resampling_keeps_every_value_at_its_place_in_the_patient(direction, spacing):
    image = ramp(direction=direction)

    result = resample_linearly(image, spacing)

    values = sitk.GetArrayFromImage(result)
    z, y, x = np.indices(values.shape)
    matrix = np.array(result.GetDirection()).reshape(3, 3) * np.array(result.GetSpacing())
    points = np.stack([x, y, z], axis=-1) @ matrix.T + np.array(result.GetOrigin())
    expected = points[..., 0] + 10 * points[..., 2]
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(values[inner], expected[inner], atol=1e-2)


def test_resampling_keeps_the_extent():
    result = resample_linearly(ramp(), (1.6, 1.8, 4.0))

    assert result.GetSize() == (10, 12, 8)
    np.testing.assert_allclose(result.TransformContinuousIndexToPhysicalPoint((-0.5,) * 3), (-30.4, 11.55, 49.0))


def test_downsampling_averages_noise_away():
    rng = np.random.default_rng(0)
    noisy = sitk.GetImageFromArray(rng.normal(0, 100, (16, 64, 64)).astype(np.int16))

    values = sitk.GetArrayFromImage(resample_linearly(noisy, (4.0, 4.0, 1.0)))

    assert values.std() < 40


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_labels_come_back_to_the_source_grid_whatever_the_orientation(tmp_path, direction, orientation):
    image = ramp(size=(40, 36, 20), spacing=(1.0, 1.2, 2.0), direction=direction)
    low, high = np.percentile(sitk.GetArrayViewFromImage(image), (40, 70))
    prepared = prepare(image, contract(tmp_path, orientation=orientation, spacing=[1.5, 1.5, 1.5]))
    scale = 100.0
    values = prepared.volume[0] * scale
    clipped_low, clipped_high = max(low, -150), min(high, 350)
    inside = np.minimum(values - clipped_low, clipped_high - values)

    labels = restore([np.stack([np.zeros_like(inside), inside])], prepared)

    source = sitk.GetArrayViewFromImage(image)
    expected = (source > clipped_low) & (source < clipped_high)
    assert labels.shape == source.shape
    assert np.mean(labels == expected) > 0.98


def test_values_are_clipped_and_normalised_as_the_entry_says(tmp_path):
    image = sitk.GetImageFromArray(np.array([[[-3000.0, 100.0], [400.0, 3000.0]]], np.float32))
    image.SetSpacing((1.0, 1.0, 1.5))

    prepared = prepare(
        image, contract(tmp_path, intensity={"clip": [-200, 400], "normalization": {"mean": 100.0, "std": 50.0}})
    )

    np.testing.assert_allclose(np.sort(prepared.volume.ravel()), [-6, 0, 6, 6])
    assert prepared.fill == -6


def test_an_image_can_be_normalised_by_itself(tmp_path):
    prepared = prepare(ramp(), contract(tmp_path, intensity={"normalization": "image"}))

    assert abs(prepared.volume.mean()) < 1e-4
    assert abs(prepared.volume.std() - 1) < 1e-4


def test_a_constant_image_cannot(tmp_path):
    with pytest.raises(InputError, match="same value everywhere"):
        prepare(sitk.Image((8, 8, 8), sitk.sitkInt16), contract(tmp_path, intensity={"normalization": "image"}))


def test_values_may_be_left_alone(tmp_path):
    prepared = prepare(ramp(spacing=(1.0, 1.0, 1.5)), contract(tmp_path, intensity={"normalization": "none"}))

    assert prepared.volume.max() > 400


def test_a_slab_thinner_than_a_voxel_of_the_network_is_kept(tmp_path):
    image = ramp(size=(30, 30, 2), spacing=(1.0, 1.0, 1.0))

    prepared = prepare(image, contract(tmp_path, spacing=[5.0, 5.0, 5.0]))
    labels = restore([np.stack([prepared.volume[0] * 0, prepared.volume[0] * 0 + 1])], prepared)

    assert prepared.volume.shape == (1, 1, 6, 6)
    assert labels.shape == (2, 30, 30)
    assert labels.all()
