"""Regions of a segmentation: where they are in the patient, and back on the slices."""

import factories
import numpy as np
import pytest
from drawing import KIDNEY, LIVER, shapes

from NativeDLLib.core.errors import UsageError
from NativeDLLib.regions.propose import find_slice, propose
from NativeDLLib.regions.read_rtstruct import mask_of
from NativeDLLib.source import Series


def test_regions_bound_the_very_masks_on_any_series(drawn):
    for segment in (LIVER, KIDNEY):
        regions = propose(drawn.series, drawn.labels, [segment])

        mask, elsewhere = mask_of(drawn.series, [region.points for region in regions])

        assert elsewhere == 0
        assert (mask == drawn.mask(segment)).all()


def test_each_region_lies_in_the_plane_of_the_image_it_refers_to(drawn):
    for region in propose(drawn.series, drawn.labels, [LIVER, KIDNEY]):
        (header,) = [i.dataset for i in drawn.series.instances if i.text("SOPInstanceUID") == region.sop_instance_uid]
        row, column = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
        off = (region.points - np.array(header.ImagePositionPatient, float)) @ np.cross(row, column)
        assert np.abs(off).max() < 0.001
        assert region.frame is None


def test_points_are_where_pixel_centres_say_to_a_thousandth_of_a_millimetre(drawn):
    (region,) = [r for r in propose(drawn.series, drawn.labels, [KIDNEY], tolerance=0) if r.id == "2.4.1"]
    header = drawn.series.instances[4].dataset
    row, column = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
    away = region.points - np.array(header.ImagePositionPatient, float)
    columns, rows = away @ row / 0.8, away @ column / 1.1

    # The part fills columns 50 to 59 and rows 40 to 47.
    np.testing.assert_allclose(
        [columns.min(), columns.max(), rows.min(), rows.max()], [49.5, 59.5, 39.5, 47.5], atol=1e-3
    )


def test_the_area_is_that_of_the_pixels_less_the_corners(axial):
    (region,) = [r for r in propose(axial.series, axial.labels, [KIDNEY], tolerance=0) if r.id == "2.4.1"]

    assert region.area_mm2 == pytest.approx((10 * 8 - 0.5) * 0.8 * 1.1, abs=0.01)


def test_only_the_slices_asked_for_are_drawn(axial):
    regions = propose(axial.series, axial.labels, [LIVER, KIDNEY], slices=[3])

    assert {region.slice_index for region in regions} == {3}
    assert {region.segment.name for region in regions} == {"Liver", "Right kidney"}
    assert {region.status for region in regions} == {"proposed"}


def test_segments_may_overlap(axial):
    masks = np.stack([axial.labels > 0, axial.labels == 2], axis=-1)

    regions = propose(axial.series, masks, [LIVER, KIDNEY])

    mask, _ = mask_of(axial.series, [r.points for r in regions if r.segment is LIVER])
    assert (mask == (axial.labels > 0)).all()


def test_regions_of_a_multi_frame_image_refer_to_its_frames(tmp_path):
    labels, order = shapes(), [5, 0, 3, 1, 4, 2]
    path = factories.enhanced_ct(
        tmp_path / "ct", np.zeros(labels.shape, int), spacing=(0.8, 1.1, 2.5), origin=(1, 2, 3), order=order
    )
    series = Series.read([path])

    regions = propose(series, labels, [LIVER])

    assert {(r.slice_index, r.frame) for r in regions} == {(z, order.index(z) + 1) for z in range(1, 6)}
    assert (mask_of(series, [r.points for r in regions])[0] == (labels == 1)).all()


def test_a_slice_is_named_by_its_instance_or_its_index(axial):
    assert find_slice(axial.series, axial.series.instances[2].text("SOPInstanceUID")) == 2
    assert find_slice(axial.series, "5") == 5
    with pytest.raises(UsageError, match="has 6 slices, from 0 to 5"):
        find_slice(axial.series, "6")
    with pytest.raises(UsageError, match="neither an instance"):
        find_slice(axial.series, "1.2.3")


def test_the_slices_of_a_multi_frame_image_have_no_instance_of_their_own(tmp_path):
    path = factories.enhanced_ct(
        tmp_path / "ct", factories.block(), spacing=(1, 1, 2), origin=(0, 0, 0), order=range(6)
    )
    series = Series.read([path])

    with pytest.raises(UsageError, match="has 6 slices; give the index of one"):
        find_slice(series, series.text("SOPInstanceUID"))


def test_a_contour_that_lies_on_no_slice_is_counted_and_left_out(axial):
    (region, *_) = propose(axial.series, axial.labels, [LIVER])
    beyond = region.points + np.array([0, 0, 40.0])
    across = region.points[:, [2, 1, 0]]

    mask, elsewhere = mask_of(axial.series, [beyond, across])

    assert elsewhere == 2
    assert not mask.any()
