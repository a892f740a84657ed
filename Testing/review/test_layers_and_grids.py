"""Segments that overlap, and segmentations on other grids than that of the source."""

import numpy as np
import pytest
import scene
import SimpleITK as sitk
from tools import dciodvfy_errors


def overlapping(reviewed):
    mask = np.zeros_like(reviewed.labels, bool)
    mask[3:6, 9:13, 11:16] = True
    scene.add_segment(reviewed.node, "Lesion")
    scene.paint(reviewed.node, "Lesion", mask, reviewed.image, overwrite=False)
    reviewed.decide(Liver="accepted", Kidney="accepted")
    assert (mask & (reviewed.labels == 1)).any()
    return mask


def test_segments_may_overlap(reviewed):
    mask = overlapping(reviewed)

    assert reviewed.approve() == 0

    assert sitk.ReadImage(str(reviewed.edited)).GetNumberOfComponentsPerPixel() == 2
    assert reviewed.seg.SegmentsOverlap == "YES"
    found = reviewed.masks
    assert np.array_equal(found[..., 0], reviewed.labels == 1)
    assert np.array_equal(found[..., 2], mask)
    assert np.array_equal(reviewed.by_dcmqi()[2], mask)
    assert dciodvfy_errors(reviewed.path) == []


def test_a_label_map_cannot_hold_segments_that_overlap(reviewed, capsys):
    count = (overlapping(reviewed) & (reviewed.labels == 1)).sum()

    assert reviewed.approve("--segmentation", "LABELMAP") == 2

    assert f"segments 'Liver' and 'Lesion' overlap in {count} voxels" in capsys.readouterr().err
    assert not (reviewed.folder / "approved").exists()


def test_a_label_map_holds_segments_that_do_not(reviewed):
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve("--segmentation", "LABELMAP") == 0

    assert reviewed.seg.SegmentationType == "LABELMAP"
    assert np.array_equal(reviewed.masks[..., 1], reviewed.labels == 2)


@pytest.mark.parametrize(("factor", "isotropic"), [(2.0, False), (3.0, False), (1.0, True), (2.0, True)])
def test_a_finer_grid_that_nobody_painted_on_is_still_the_automatic_result(reviewed, factor, isotropic):
    scene.change_geometry(reviewed.slicer, reviewed.node, reviewed.image, factor, isotropic)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    saved = sitk.ReadImage(str(reviewed.edited))
    assert not np.allclose(saved.GetSpacing(), reviewed.image.GetSpacing())
    assert [row.changed_voxels for row in reviewed.rows.values()] == [0, 0, 0]
    assert [kind for *_, kind in reviewed.described] == ["AUTOMATIC", "AUTOMATIC"]
    for number in (1, 2):
        assert np.array_equal(reviewed.masks[..., number - 1], reviewed.labels == number)


def test_on_a_finer_grid_a_voxel_is_what_most_of_it_is(reviewed):
    image = reviewed.image
    scene.change_geometry(reviewed.slicer, reviewed.node, image, 4.0)
    finer = sitk.Expand(image, [4, 4, 4], sitk.sitkNearestNeighbor)
    mask = np.zeros(finer.GetSize()[::-1], bool)
    # Along x three quarters of voxel 4 and one quarter of voxel 8; whole voxels along y and z.
    mask[8:16, 16:32, 17:33] = True
    scene.paint(reviewed.node, "Liver", mask, finer)
    reviewed.decide(Liver="accepted", Kidney="rejected")

    assert reviewed.approve() == 0

    expected = np.zeros_like(reviewed.labels, bool)
    expected[2:4, 4:8, 4:8] = True
    assert np.array_equal(reviewed.masks[..., 0], expected)


def test_voxels_outside_the_source_are_counted_and_left_out(reviewed, capsys):
    larger = sitk.ConstantPad(reviewed.image, (5, 5, 2), (5, 5, 2))
    mask = np.zeros(larger.GetSize()[::-1], bool)
    mask[0:4, 0:10, 3:12] = True
    scene.paint(reviewed.node, "Liver", mask, larger)
    reviewed.decide(Liver="accepted", Kidney="accepted")

    assert reviewed.approve() == 0

    inside = mask[2:-2, 5:-5, 5:-5]
    assert np.array_equal(reviewed.masks[..., 0], inside)
    assert f"segment 'Liver': {mask.sum() - inside.sum()} voxels lie outside the source" in capsys.readouterr().err
