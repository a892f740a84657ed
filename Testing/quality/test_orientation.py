"""Mirrored and turned images, and organs on the wrong side: told from the image, and never of images in order."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from drawing import LIVER

from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.quality.look import Look
from NativeDLLib.quality.orientation import doubtful_orientation, wrong_sides
from NativeDLLib.registry.entry import Plausible
from NativeDLLib.source import Series
from NativeDLLib.source.geometry import Grid

pytestmark = pytest.mark.slow

AXIAL = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
SHAPE = (20, 64, 64)
# Head and feet, back and front, right and left.
WORDS = (
    "lungs lie at the feet's end",
    "spine lies in front of the middle",
    "soft organ, as a rule the liver, lies left",
)
MIRRORINGS = list(product((1, -1), repeat=3))
# Which of them a real series shows plainly: a few slices show no lungs' end, three nothing.
REAL = {
    "torso_ct_3mm/ct.nii.gz": (True, True, True),
    "abdomen_ct_5mm_dicom": (True, True, True),
    "upper_abdomen_ct_dicom": (False, True, True),
    "liver_spine_ct_dicom": (False, False, False),
    "aorta_ct/ct_cropped.nii.gz": (False, False, False),
}


def liver(side):
    return replace(LIVER, plausible=Plausible(side=side))


def grid(shape, spacing=(4.0, 4.0, 5.0), direction=AXIAL):
    return Grid(shape[::-1], tuple(spacing), (0.0, 0.0, 0.0), tuple(map(float, direction)))


def labels(y=slice(20, 40), x=slice(15, 30)):
    result = np.zeros(SHAPE, np.uint8)
    result[5:15, y, x] = 1
    return result


def read(path):
    image = sitk.ReadImage(str(path)) if path.suffix == ".gz" else Series.read([path]).image()[0]
    image = sitk.DICOMOrient(image, "LPS")
    return sitk.GetArrayFromImage(image), image.GetSpacing()


def told(values, place):
    look = Look.at(values, place)
    message = " ".join(finding.message for finding in doubtful_orientation(look))
    return tuple(word in message for word in WORDS)


@pytest.fixture(scope="module", params=[1, 2, 3])
def phantom(request):
    image, _ = make_phantom(request.param, (80, 72, 70), (5.0, 5.0, 6.0))
    return sitk.GetArrayFromImage(image), image.GetSpacing()


def test_a_phantom_is_told_in_every_mirroring_with_the_axes_that_are_wrong(phantom):
    values, spacing = phantom
    for flips in MIRRORINGS:
        mirrored = values[tuple(slice(None, None, flip) for flip in flips)]
        assert told(mirrored, grid(values.shape, spacing)) == tuple(flip < 0 for flip in flips), flips


@pytest.mark.parametrize("name", REAL)
def test_a_real_series_is_told_in_every_mirroring_where_it_is_plain(real_data, name):
    values, spacing = read(real_data / name)
    for flips in MIRRORINGS:
        mirrored = values[tuple(slice(None, None, flip) for flip in flips)]
        expected = tuple(flip < 0 and plain for flip, plain in zip(flips, REAL[name], strict=True))
        assert told(mirrored, grid(values.shape, spacing)) == expected, flips


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("length_mm", [40, 80, 120, 200])
def test_no_part_of_a_series_in_order_is_told(real_data, name, length_mm):
    values, spacing = read(real_data / name)
    count = round(length_mm / spacing[2])
    for start in range(0, len(values) - count + 1, round(15 / spacing[2])):
        part = values[start : start + count]
        assert told(part, grid(part.shape, spacing)) == (False, False, False), start


def test_the_order_of_the_axes_in_the_file_does_not_matter(phantom):
    values, spacing = phantom
    mirrored = values[:, :, ::-1]
    for order in permutations(range(3)):
        turned = mirrored.transpose(order)
        # Column i of the direction is where image axis i (2 - array axis) points to.
        direction = np.eye(3)[:, [2 - axis for axis in order[::-1]]]
        place = grid(turned.shape, [spacing[2 - axis] for axis in order[::-1]], direction.ravel())
        assert told(turned, place) == (False, False, True), order


def test_nothing_is_told_of_noise_of_air_of_a_ball_and_of_a_grid_that_lies_askew(phantom):
    noise = np.random.default_rng(5).normal(0, 300, (40, 64, 64)).astype(np.int16)
    z, y, x = np.indices((40, 64, 64)) - np.array([20, 32, 32])[:, None, None, None]
    ball = np.where(z**2 + y**2 + x**2 < 18**2, 400, -1000).astype(np.int16)
    for values in (noise, ball):
        assert told(values, grid(values.shape)) == (False, False, False)
    assert Look.at(ball * 0 - 1000, grid(ball.shape)) is None
    third = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3
    assert Look.at(phantom[0], grid(phantom[0].shape, phantom[1], third.ravel())) is None


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", REAL)
def test_noise_narrow_fields_and_turned_patients_make_no_false_finding(real_data, name, seed):
    values, spacing = read(real_data / name)
    rng, step = np.random.default_rng(seed), [max(1, round(2.5 / mm)) for mm in spacing[::-1]]
    values, spacing = (
        values[:: step[0], :: step[1], :: step[2]],
        [mm * n for mm, n in zip(spacing, step[::-1], strict=True)],
    )
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    turn = sitk.Euler3DTransform()
    turn.SetCenter(image.TransformContinuousIndexToPhysicalPoint([n / 2 for n in image.GetSize()]))
    turn.SetRotation(*np.radians(rng.uniform([-8, -8, -20], [8, 8, 20])))
    turned = sitk.GetArrayFromImage(sitk.Resample(image, image, turn, sitk.sitkLinear, -1024))
    noisy = turned + rng.normal(0, rng.choice([30, 80]), turned.shape)
    window = [slice(rng.integers(0, n // 3 + 1), rng.integers(2 * n // 3, n) + 1) for n in noisy.shape]
    part = noisy[tuple(window)].astype(np.int16)

    assert told(part, grid(part.shape, spacing)) == (False, False, False)


@pytest.mark.parametrize("seed", range(40))
def test_any_shape_and_spacing_can_be_looked_at(seed):
    rng = np.random.default_rng(seed)
    shape, spacing = rng.integers(1, 30, 3), 10.0 ** rng.uniform(-1.5, 2.7, 3)
    values = rng.choice([-1000, -800, 40, 120, 900], shape, p=[0.2, 0.2, 0.4, 0.1, 0.1]).astype(np.int16)
    if (look := Look.at(values, grid(tuple(map(int, shape)), spacing))) is not None:
        assert {look.head, look.back, look.liver} <= {-1, 0, 1}
        assert set(look.parts) <= {"HEAD", "CHEST", "ABDOMEN"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("torso_ct_3mm/ct.nii.gz", ["ABDOMEN"]),
        ("abdomen_ct_5mm_dicom", ["CHEST", "ABDOMEN"]),
        ("upper_abdomen_ct_dicom", ["ABDOMEN"]),
        ("liver_spine_ct_dicom", ["ABDOMEN"]),
        ("aorta_ct/ct_cropped.nii.gz", []),
    ],
)
def test_the_parts_of_the_body_are_estimated(real_data, name, parts):
    values, spacing = read(real_data / name)
    assert Look.at(values, grid(values.shape, spacing)).parts == parts


def body(width=26, depth=18, table=False):
    values = np.full(SHAPE, -1000, np.int16)
    y, x = np.indices(SHAPE[1:]) - 31.5
    values[:, (x / width) ** 2 + (y / depth) ** 2 < 1] = 30
    if table:
        values[:, 52:54, 4:60] = 100
    return values


def sides(values, mask, side="R", direction=AXIAL):
    place = grid(values.shape, direction=direction)
    look = Look.at(values, place)
    return [finding.message for finding in wrong_sides(look, mask, place, [liver(side)])]


@pytest.mark.parametrize("table", [False, True])
def test_an_organ_on_the_wrong_side_of_the_body_is_told_with_its_distance(table):
    values, right = body(table=table), labels(x=slice(10, 25), y=slice(25, 40))

    assert sides(values, right) == []
    assert sides(values[:, :, ::-1], right[:, :, ::-1]) == [
        "Liver: its centre lies 58 mm left of the middle of the body, where right of it is normal; "
        "the images may be mirrored or turned"
    ]


def test_front_and_back_are_told_apart_too():
    back = labels(y=slice(40, 48), x=slice(27, 37))

    assert sides(body(), back, "P") == []
    assert "anterior of the middle" in sides(body()[:, ::-1], back[:, ::-1], "P")[0]
    assert "right of the middle" in sides(body(), labels(y=slice(35, 48), x=slice(10, 20)), "LP")[0]


def test_the_side_is_the_patients_whichever_way_the_rows_run():
    turned = (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)

    assert sides(body(), labels(x=slice(35, 50)), direction=turned) == []
    assert "left of the middle" in sides(body(), labels(x=slice(10, 25)), direction=turned)[0]


def test_lungs_and_gas_do_not_move_the_middle_of_the_body():
    values = body()
    values[:, 24:40, 34:50] = -850

    assert sides(values, labels(x=slice(26, 30))) == []


def test_nothing_is_said_near_the_middle_or_where_the_body_is_cut_off():
    assert sides(body(), labels(x=slice(26, 39))) == []
    assert sides(body(width=80, depth=60), labels(x=slice(40, 60))) == []


def test_the_organs_of_a_real_patient_lie_right_until_the_images_are_mirrored(real_data):
    values, spacing = read(real_data / "torso_ct_3mm" / "ct.nii.gz")
    given, _ = read(real_data / "torso_ct_3mm" / "labels.nii.gz")
    mask = ((given == 5) + 2 * np.isin(given, range(27, 34))).astype(np.uint8)
    place = grid(values.shape, spacing)

    def found(*flips):
        mirror = tuple(slice(None, None, flip) for flip in flips)
        both = [liver("R"), liver("P")]
        return [f.message for f in wrong_sides(Look.at(values[mirror], place), mask[mirror], place, both)]

    assert found(1, 1, 1) == []
    assert "left of" in found(1, 1, -1)[0]
    assert "anterior of" in found(1, -1, 1)[0]
