"""Outlines of masks: what they bound, how many points they need, and how far off they may be."""

import numpy as np
import pytest

from NativeDLLib.regions.outlines import area, join, outlines
from NativeDLLib.regions.read_rtstruct import fill

PIXEL = (0.8, 1.1)


def disc(radius=40.0, size=100):
    y, x = np.mgrid[:size, :size]
    return np.hypot(y - size / 2 + 0.3, x - size / 2) < radius


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("pixel", [(1.0, 1.0), PIXEL, (0.3, 4.0)])
def test_outlines_bound_the_very_mask_at_the_safe_tolerance_whatever_it_looks_like(density, pixel):
    mask = np.random.default_rng(int(density * 10)).random((40, 50)) < density

    lines = outlines(mask, pixel)

    assert (fill(lines, mask.shape) == mask).all()


def test_each_part_has_one_line_that_goes_around_its_holes_too():
    mask = np.zeros((20, 30), bool)
    mask[2:12, 2:20] = True
    mask[4:6, 4:6] = mask[4:6, 9:12] = mask[8:10, 6:16] = False
    mask[12:15, 20:25] = True

    lines = outlines(mask, PIXEL, 0)

    assert len(lines) == 2
    assert (fill(lines[:1], mask.shape)[:12, :20] == mask[:12, :20]).all()


def test_an_island_in_a_hole_is_a_part_of_its_own():
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18], mask[5:15, 5:15], mask[8:12, 8:12] = True, False, True

    lines = outlines(mask, PIXEL, 0)

    assert len(lines) == 2
    assert (fill(lines, mask.shape) == mask).all()


def test_the_area_leaves_out_the_holes():
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18], mask[5:15, 5:15] = True, False

    (line,) = outlines(mask, PIXEL, 0)

    # The outline cuts an eighth of a pixel off each corner that points outwards, and adds as much at one inwards.
    assert area(line) == pytest.approx(mask.sum() - 0.5 + 0.5)


def test_a_single_pixel_has_an_outline():
    mask = np.zeros((5, 5), bool)
    mask[4, 0] = True

    (line,) = outlines(mask, PIXEL, 10)

    assert (fill([line], mask.shape) == mask).all()


@pytest.mark.parametrize("tolerance", [0.1, 0.5, 1.0, 2.0])
def test_no_point_of_the_outline_is_off_by_more_than_the_tolerance_and_the_area_by_two_percent(tolerance):
    (exact,), (line,) = (outlines(disc(), PIXEL, t) for t in (0, tolerance))

    ends = np.roll(line, -1, axis=0)
    places = np.concatenate([line + (ends - line) * way for way in np.linspace(0, 1, 400)]) * PIXEL
    off = [np.linalg.norm(places - point, axis=1).min() for point in exact * PIXEL]
    assert max(off) <= tolerance + 0.02
    assert area(line) == pytest.approx(area(exact), rel=0.02)


def test_a_tolerance_saves_points():
    (exact,), (line,) = (outlines(disc(), PIXEL, t) for t in (0, 0.5))

    assert len(line) < len(exact) / 2


def test_small_parts_keep_their_shape_at_any_tolerance():
    mask = np.zeros((12, 12), bool)
    mask[2:5, 2:5], mask[3, 3], mask[8, 6:9] = True, False, True

    lines = outlines(mask, PIXEL, 5)

    assert (fill(lines, mask.shape) == mask).all()


def test_a_hole_that_lies_outside_of_its_outline_is_not_joined():
    square = np.array([[0.0, 0.0], [4, 0], [4, 4], [0, 4]])

    assert join(square, [square * 0.1 - 5]) is None


def test_a_pixel_whose_centre_lies_on_a_contour_is_inside():
    # As systems draw that go through the centres of the outermost pixels.
    mask = fill([np.array([[2.0, 1], [6, 1], [6, 4], [2, 4]])], (8, 10))

    assert np.argwhere(mask).min(axis=0).tolist() == [1, 2]
    assert np.argwhere(mask).max(axis=0).tolist() == [4, 6]
    assert mask.sum() == 4 * 5


def test_contours_in_contours_are_holes_and_islands_and_what_lies_beyond_the_slice_is_cut_off():
    squares = [np.array([[a, a], [b, a], [b, b], [a, b]]) for a, b in ((-9.5, 18.5), (2.5, 14.5), (5.5, 10.5))]

    mask = fill(squares, (16, 16))

    expected = np.ones((16, 16), bool)
    expected[3:15, 3:15], expected[6:11, 6:11] = False, True
    assert (mask == expected).all()
