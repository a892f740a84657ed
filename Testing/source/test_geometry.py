import itertools

import factories
import numpy as np
import pytest
import SimpleITK as sitk
from factories import AXIAL, CORONAL, SAGITTAL

from NativeDLLib.source import Series


def turned(axes, degrees=(20, -35, 10)):
    """Turn axes around x, y and z."""
    x, y, z = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return tuple(tuple(about_z @ about_y @ about_x @ np.array(axis)) for axis in axes)


ORIENTATIONS = {"axial": AXIAL, "coronal": CORONAL, "sagittal": SAGITTAL, "oblique": turned(AXIAL)}
FLIPS = {"as is": (1, 1), "rows flipped": (-1, 1), "columns flipped": (1, -1), "both flipped": (-1, -1)}


def as_simpleitk_reads(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_same_image(ours, theirs):
    """Compare the images as they lie in the patient: theirs may be stacked the other way round."""
    if np.dot(ours.GetDirection()[2::3], theirs.GetDirection()[2::3]) < 0:
        theirs = theirs[:, :, ::-1]
    assert ours.GetSize() == theirs.GetSize()
    assert np.allclose(ours.GetSpacing(), theirs.GetSpacing(), atol=1e-3)
    assert np.allclose(ours.GetOrigin(), theirs.GetOrigin(), atol=1e-2)
    assert np.allclose(ours.GetDirection(), theirs.GetDirection(), atol=1e-4)
    assert np.array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (0.7, 1.3, 2.5)], ids=["square pixels", "unequal pixels"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_lands_where_simpleitk_puts_it(tmp_path, orientation, flip, backwards, spacing):
    axes = [np.array(axis) * sign for axis, sign in zip(ORIENTATIONS[orientation], FLIPS[flip], strict=True)]
    factories.ct_series(tmp_path, axes=axes, backwards=backwards, spacing=spacing)

    image, _ = Series.read([tmp_path]).image()

    assert np.allclose(image.GetSpacing(), spacing)
    assert np.allclose(image.GetOrigin(), (-20, -16, 100), atol=1e-5)
    assert np.allclose(np.array(image.GetDirection()).reshape(3, 3)[:, :2].T, axes, atol=1e-6)
    assert_same_image(image, as_simpleitk_reads(tmp_path))


def test_a_real_abdomen_is_what_simpleitk_reads(real_data):
    folder = real_data / "upper_abdomen_ct_dicom"

    assert_same_image(Series.read([folder]).image()[0], as_simpleitk_reads(folder))


def test_three_real_slices_are_what_simpleitk_reads(real_data):
    files = [real_data / "liver_spine_ct_dicom" / f"0{i}.dcm" for i in (1, 2, 3)]
    image, _ = Series.read(files).image()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in sorted(files, key=lambda f: height_of(f))])

    # Outside the scanner's round field its padding of -3024 becomes air.
    assert_same_image(image, sitk.Maximum(sitk.Cast(reader.Execute(), sitk.sitkInt16), -1024))


def height_of(file):
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return reader.GetOrigin()[2]


def test_a_grid_knows_its_own_image(tmp_path):
    factories.ct_series(tmp_path)
    series = Series.read([tmp_path])
    image, _ = series.image()
    moved = sitk.Image(image)
    moved.SetOrigin((0, 0, 0))

    assert series.grid.matches(image)
    assert not series.grid.matches(moved)
    assert not series.grid.matches(image[:, :, 1:])


@pytest.mark.parametrize("keyword", ["SpacingBetweenSlices", "SliceThickness"])
def test_a_single_slice_is_as_thick_as_it_says(tmp_path, keyword):
    def edit(dataset, _):
        del dataset.SliceThickness
        setattr(dataset, keyword, 3.5)

    factories.ct_series(tmp_path, factories.block()[2:3], edit=edit)
    grid = Series.read([tmp_path]).grid

    assert grid.size == (40, 32, 1)
    assert grid.spacing == (1.0, 1.0, 3.5)
    assert grid.origin == (-20.0, -16.0, 100.0)


def test_the_distance_between_slices_is_that_of_their_places_not_their_thickness(tmp_path):
    def edit(dataset, index):
        dataset.SliceThickness = 5
        if index % 2:
            del dataset.SliceThickness

    factories.ct_series(tmp_path, edit=edit)

    assert Series.read([tmp_path]).grid.spacing == (1.0, 1.0, 2.0)


@pytest.mark.parametrize(("digits", "distance"), itertools.product([1, 2], [0.6, 0.625, 0.7, 1.25, 5.0]))
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_positions_rounded_to_few_decimals_are_accepted(tmp_path, orientation, digits, distance):
    def edit(dataset, _):
        dataset.ImagePositionPatient = [f"{float(v):.{digits}f}" for v in dataset.ImagePositionPatient]
        dataset.ImageOrientationPatient = [f"{float(v):.4f}" for v in dataset.ImageOrientationPatient]

    voxels = np.zeros((40, 4, 4))
    origin = (-20.125, -16.03, 100.06)
    spacing = (0.7, 0.7, distance)
    factories.ct_series(tmp_path, voxels, spacing=spacing, origin=origin, axes=ORIENTATIONS[orientation], edit=edit)
    grid = Series.read([tmp_path]).grid

    assert abs(grid.spacing[2] - distance) < 0.004
    assert np.allclose(grid.origin, origin, atol=0.1)
    assert np.allclose(np.array(grid.direction).reshape(3, 3)[:, 0], ORIENTATIONS[orientation][0], atol=1e-3)


@pytest.mark.parametrize(("between", "thickness", "expected"), [(-3, 2, 2), (3, 2, 3), (0, 2, 2), (3, -2, 3)])
def test_a_single_slice_has_the_extent_that_is_positive(tmp_path, between, thickness, expected):
    def edit(dataset, _):
        dataset.SpacingBetweenSlices, dataset.SliceThickness = between, thickness

    series = Series.read(factories.ct_series(tmp_path, factories.block((1, 32, 40)), edit=edit))

    assert series.grid.spacing[2] == expected


def test_a_single_slice_from_the_field_is_read(real_data):
    assert Series.read([real_data / "field_cases" / "dicom" / "single_neg"]).grid.size[2] == 1
