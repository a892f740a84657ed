import factories
import numpy as np
import pytest

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series


def test_a_real_tilted_head_is_refused_with_its_tilt_and_its_spacing(real_data):
    with pytest.raises(InputError) as caught:
        Series.read([real_data / "tilted_head_ct_dicom"])

    message = str(caught.value)
    assert "gantry tilt: the slices are stacked 18.5 degrees off their normal" in message
    assert "uneven slice spacing: distances along the normal vary from" in message
    assert "(its header says GantryDetectorTilt" in message


def off_by(moves):
    """Return an edit that moves slices: {index: offset along z in mm}."""

    def edit(dataset, index):
        x, y, z = (float(v) for v in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + moves.get(index, 0)]

    return edit


def refusal(folder, **arguments):
    files = factories.ct_series(folder, **arguments)
    with pytest.raises(InputError) as caught:
        Series.read([folder])
    return str(caught.value), files


def test_duplicate_positions_are_named(tmp_path):
    message, _ = refusal(tmp_path, edit=off_by({3: -2}))

    assert "1 duplicate slice position(s), at 104.00 mm along the normal" in message


def test_a_second_phase_in_the_series_is_named_by_its_positions(tmp_path):
    message, _ = refusal(tmp_path, edit=off_by({3: -6, 4: -6, 5: -6}))

    assert "3 duplicate slice position(s), at 100.00, 102.00, 104.00 mm along the normal" in message


def test_missing_slices_are_counted_and_placed(tmp_path):
    message, _ = refusal(tmp_path, edit=off_by({2: 2, 3: 2, 4: 6, 5: 6}))

    assert "3 slice(s) missing: spacing is 2.00 mm but nothing lies between 102.00 and 106.00" in message
    assert "108.00 and 114.00 mm" in message


def test_uneven_spacing_is_given_in_numbers(tmp_path):
    message, _ = refusal(tmp_path, edit=off_by({3: 0.9}))

    assert "uneven slice spacing: distances along the normal vary from 1.10 to 2.90 mm" in message
    assert "(most are 2.00; the worst is between 104.00 and 106.90 mm)" in message


@pytest.mark.parametrize("degrees", [2.0, 18.5, -30.0])
def test_a_gantry_tilt_is_refused_with_its_angle(tmp_path, degrees):
    def edit(dataset, index):
        x, y, z = (float(v) for v in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, round(y + 2 * index * np.tan(np.radians(degrees)), 4), z]

    message, _ = refusal(tmp_path, voxels=factories.block((24, 32, 40)), edit=edit)

    assert f"gantry tilt: the slices are stacked {abs(degrees):.1f} degrees off their normal" in message


def test_slices_that_are_shifted_in_their_plane_are_refused(tmp_path):
    def edit(dataset, index):
        dataset.ImagePositionPatient = [-20 + 3 * (index % 2) * (index < 5), -16, 100 + 2 * index]

    message, _ = refusal(tmp_path, edit=edit)

    assert "slices are shifted within their plane by up to 3.00 mm" in message


def test_a_localizer_in_a_series_that_is_no_regular_grid_without_it_is_refused(tmp_path):
    def edit(dataset, index):
        if index == 2:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    message, _ = refusal(tmp_path, edit=edit)

    assert "1 of 6 instances are localizers" in message
    assert "1 of 6 slices are oriented differently from the others (by up to 90.0 degrees)" in message


def test_a_series_of_localizers_alone_is_refused(tmp_path):
    message, _ = refusal(tmp_path, edit=lambda ds, i: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]))

    assert "6 of 6 instances are localizers" in message


def test_slices_that_look_the_other_way_are_refused(tmp_path):
    def edit(dataset, index):
        if index > 3:
            dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]

    message, _ = refusal(tmp_path, edit=edit)

    assert "2 of 6 slices are oriented differently from the others (by up to 180.0 degrees)" in message


def test_mixed_sizes_are_refused(tmp_path):
    def edit(dataset, index):
        if index == 1:
            dataset.Rows = 16

    message, _ = refusal(tmp_path, edit=edit)

    assert "Rows is not the same in all 6 instances: '32' in 5, '16' in 1" in message


def test_mixed_pixel_spacings_are_refused(tmp_path):
    def edit(dataset, index):
        if index == 1:
            dataset.PixelSpacing = [1.0, 0.8]

    message, _ = refusal(tmp_path, edit=edit)

    assert "mixed pixel spacings 1x0.8 mm, 1x1 mm" in message


@pytest.mark.parametrize("cosines", [[1, 0, 0, 0, 0, 0], [1, 0, 0, 0.1, 1, 0], [2, 0, 0, 0, 1, 0]])
def test_cosines_that_are_none_are_refused(tmp_path, cosines):
    message, _ = refusal(tmp_path, edit=lambda ds, i: setattr(ds, "ImageOrientationPatient", cosines))

    assert "ImageOrientationPatient is not two perpendicular unit vectors" in message


@pytest.mark.parametrize("spacing", [[0, 1], [-1, 1]])
def test_a_pixel_spacing_that_is_not_positive_is_refused(tmp_path, spacing):
    message, _ = refusal(tmp_path, edit=lambda ds, i: setattr(ds, "PixelSpacing", spacing))

    assert "PixelSpacing is not positive" in message


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImagePositionPatient", ["0", "0", "1e30"]),
        ("ImagePositionPatient", ["1e308", "-1e308", "1e308"]),
        ("PixelSpacing", ["1e6", "1e6"]),
        ("PixelSpacing", ["5e-4", "5e-4"]),
        ("SpacingBetweenSlices", "1e9"),
    ],
)
def test_places_that_no_patient_has_are_refused(tmp_path, keyword, value):
    def edit(dataset, index):
        setattr(dataset, keyword, value)
        dataset.ImagePositionPatient[0] = float(dataset.ImagePositionPatient[0]) + index

    message, _ = refusal(tmp_path, voxels=factories.block()[:1], edit=edit)

    assert "no patient" in message


def test_slices_too_far_apart_for_a_patient_are_refused(tmp_path):
    message, _ = refusal(tmp_path, spacing=(1.0, 1.0, 1e5))

    assert "no patient" in message


@pytest.mark.parametrize("thickness", [None, 0])
def test_a_single_slice_without_thickness_is_refused(tmp_path, thickness):
    message, _ = refusal(
        tmp_path, voxels=factories.block()[:1], edit=lambda ds, i: setattr(ds, "SliceThickness", thickness)
    )

    assert "a single slice without SliceThickness or SpacingBetweenSlices has no extent" in message


@pytest.mark.parametrize(
    ("keyword", "value", "wrong"),
    [
        ("ImagePositionPatient", "nan\\0\\0", "must be 3 finite number"),
        ("ImagePositionPatient", "1e999\\0\\0", "must be 3 finite number"),
        ("ImagePositionPatient", "left\\0\\0", "is not a number"),
        ("ImagePositionPatient", "0\\0", "must be 3 finite number"),
        ("ImagePositionPatient", "0\\0\\0\\0", "must be 3 finite number"),
        ("ImageOrientationPatient", "1\\0\\0\\0\\1", "must be 6 finite number"),
        ("PixelSpacing", "1", "must be 2 finite number"),
        ("PixelSpacing", "1\\", "is not a number"),
        ("SliceThickness", "thick", "is not a number"),
        ("RescaleSlope", "1\\1", "must be 1 finite number"),
    ],
)
def test_values_that_are_no_numbers_are_named_with_file_and_attribute(tmp_path, keyword, value, wrong):
    def edit(dataset, index):
        if index == 4:
            dataset.add_new(keyword, "LO", value.split("\\"))
            # The value is stored under the attribute's own VR, as a careless writer leaves it.
            dataset[keyword].VR = "DS" if "e999" not in value and value[0] not in "nlt" else "LO"

    message, files = refusal(tmp_path, edit=edit)

    assert message.startswith(f"{files[4]}: {keyword} {wrong}")


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("value", [None, "gone"])
def test_a_slice_without_place_is_named(tmp_path, keyword, value):
    def edit(dataset, index):
        if index == 2:
            setattr(dataset, keyword, None)
            if value == "gone":
                delattr(dataset, keyword)

    message, files = refusal(tmp_path, edit=edit)

    assert message == f"{files[2]}: has no {keyword}, so its place in the patient is unknown"
