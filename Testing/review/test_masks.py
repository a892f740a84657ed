"""Masks of any grid on the slices of a source: exact on the same lattice, true to half a voxel on any other."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.progress import Progress
from NativeDLLib.review.masks import resample_to, voxels_outside
from NativeDLLib.source import Grid

SIZE, SPACING, ORIGIN = (24, 20, 10), (0.8, 0.8, 2.5), (-31.25, 17.5, -204.125)


def turned(*angles):
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    return np.array(turn.GetMatrix()).reshape(3, 3)


AXES = turned(0.3, -0.2, 0.5)
GRID = Grid(SIZE, SPACING, ORIGIN, tuple(AXES.ravel()))


def image_on(size, spacing, origin, axes):
    image = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in origin])
    image.SetDirection(np.asarray(axes).ravel().tolist())
    return image


def source():
    return image_on(SIZE, SPACING, ORIGIN, AXES)


def centres(image):
    z, y, x = np.indices(image.GetSize()[::-1])
    matrix = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    return np.stack([x, y, z], -1) @ matrix.T + image.GetOrigin()


MIDDLE = np.array(source().TransformContinuousIndexToPhysicalPoint((11.3, 9.6, 4.7)))


def ball(image, radius=6.5, label=3):
    """Return a grid filled with a ball."""
    inside = np.linalg.norm(centres(image) - MIDDLE, axis=-1) < radius
    filled = sitk.GetImageFromArray((inside * label).astype(np.uint8))
    filled.CopyInformation(image)
    return filled


def on_source(layer, label=3):
    mask = resample_to(GRID, layer, [label], Progress()).mask(label)
    result = np.zeros(SIZE[::-1], bool)
    result[mask.slices] = mask.values
    return result


EXPECTED = np.linalg.norm(centres(source()) - MIDDLE, axis=-1) < 6.5


def depth():
    """Distance of each voxel's centre from the surface of the ball, in mm."""
    return np.abs(np.linalg.norm(centres(source()) - MIDDLE, axis=-1) - 6.5)


@pytest.mark.parametrize("start", [(0, 0, 0), (4, 3, 1), (-3, -2, -4)])
def test_the_same_lattice_is_copied_whatever_part_of_it_is_there(start):
    size = [28, 24, 16]
    origin = source().TransformContinuousIndexToPhysicalPoint([float(n) for n in start])
    # As if rounded on the way through a file.
    layer = ball(image_on(size, np.array(SPACING) + 1e-7, np.array(origin) + 1e-5, AXES))

    expected = EXPECTED.copy()
    x, y, z = (max(0, n) for n in start)
    expected[:z], expected[:, :y], expected[:, :, :x] = False, False, False
    assert np.array_equal(on_source(layer), expected)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_the_same_lattice_stored_along_other_axes_is_the_same_mask(order, flips):
    layer = sitk.PermuteAxes(ball(source()), order)
    layer = sitk.Flip(layer, [axis in flips for axis in range(3)])

    assert np.array_equal(on_source(layer), EXPECTED)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_each_voxel_of_a_finer_grid_counts_and_most_of_them_decide(factor):
    finer = sitk.Expand(source(), [factor] * 3, sitk.sitkNearestNeighbor)
    layer = ball(finer)
    z, y, x = SIZE[::-1]
    inside = sitk.GetArrayFromImage(layer).reshape(z, factor, y, factor, x, factor) > 0
    share = np.count_nonzero(inside, axis=(1, 3, 5)) / factor**3

    assert np.array_equal(on_source(layer), (share > 0.5) | ((share == 0.5) & inside[:, 0, :, 0, :, 0]))


def test_a_grid_much_finer_than_the_source_is_looked_at_in_parts_and_not_at_once():
    finer = image_on((400, 400, 10), (0.04, 0.04, 2.5), source().TransformIndexToPhysicalPoint((4, 4, 0)), AXES)

    found = on_source(ball(finer))

    sure = depth() > 1.5
    sure[:, :5], sure[:, 22:], sure[:, :, :5], sure[:, :, 22:] = False, False, False, False
    assert sure.sum() > 100
    assert np.array_equal(found[sure], EXPECTED[sure])


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.8, 0.8, 0.8), (1.1, 0.6, 2.0)])
@pytest.mark.parametrize("angles", [(0, 0, 0), (1.2, 0.4, 2.8)])
def test_a_grid_of_its_own_gives_the_same_ball(spacing, angles):
    extent = 36.0
    size = [int(extent / s) for s in spacing]
    axes = turned(*angles)
    origin = MIDDLE - axes @ (np.array(spacing) * (np.array(size) - 1) / 2)

    found = on_source(ball(image_on(size, spacing, origin, axes)))

    far = depth() > np.linalg.norm(SPACING) / 2
    assert np.array_equal(found[far], EXPECTED[far])
    assert abs(found.sum() - EXPECTED.sum()) < 0.04 * EXPECTED.sum()


def test_segments_side_by_side_on_a_finer_grid_share_no_voxel_and_leave_none_out():
    finer = sitk.Expand(source(), [2, 2, 2], sitk.sitkNearestNeighbor)
    values = np.ones(finer.GetSize()[::-1], np.uint8)
    values[:, :, 13:] = 2
    layer = sitk.GetImageFromArray(values)
    layer.CopyInformation(finer)

    placed = resample_to(GRID, layer, [1, 2], Progress())

    first, second = placed.mask(1), placed.mask(2)
    assert first.start == (0, 0, 0)
    # Voxel 6 is half one and half the other.
    assert first.values.shape == (10, 20, 7)
    assert second.start == (0, 0, 7)


def test_voxels_beyond_the_source_are_counted_once_each():
    layer = image_on((10, 4, 3), SPACING, source().TransformIndexToPhysicalPoint((20, 0, 8)), AXES) + 1

    # 4 of 10 columns and 2 of 3 slices are within.
    assert voxels_outside(layer, 1, GRID) == 10 * 4 * 3 - 4 * 4 * 2
    assert voxels_outside(layer, 2, GRID) == 0
    assert voxels_outside(ball(source()), 3, GRID) == 0


def test_a_cancelled_approval_stops_between_slabs():
    progress = Progress()
    progress.cancel()

    with pytest.raises(CancelledError):
        resample_to(GRID, ball(sitk.Expand(source(), [2, 2, 2], sitk.sitkNearestNeighbor)), [3], progress)
