"""Whether a volume in Slicer's scene still has the voxels of the slices that it was loaded from."""

import itertools

import factories
import numpy as np
import pytest

from NativeDLLib.source import Series

SPACING = (0.8, 0.7, 2.5)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def turned(x, y, z):
    """Return rows and columns of a slice turned about the three axes, in degrees."""
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(np.radians(a)), np.sin(np.radians(a))) for a in (x, y, z))
    matrix = (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )
    return matrix[:, 0], matrix[:, 1]


PLANES = {
    "axial": factories.AXIAL,
    "coronal": factories.CORONAL,
    "sagittal": factories.SAGITTAL,
    "oblique": turned(20, -35, 50),
}


@pytest.fixture(params=PLANES)
def grid(request, tmp_path):
    return Series.read(factories.ct_series(tmp_path / "s", spacing=SPACING, axes=PLANES[request.param])).grid


def matrix(grid):
    """Return the grid's matrix from indices to RAS, as Slicer holds it."""
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(grid.direction, (3, 3)) * grid.spacing
    lps[:3, 3] = grid.origin
    return LPS_TO_RAS @ lps


def reordered(grid, axes=(0, 1, 2), flips=(False, False, False)):
    """Return size and matrix of the same voxels, counted along other axes and from other ends."""
    order = np.zeros((4, 4))
    order[3, 3] = 1
    size = [grid.size[axis] for axis in axes]
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        order[old, new] = -1 if flip else 1
        order[old, 3] = grid.size[old] - 1 if flip else 0
    return size, matrix(grid) @ order


def test_the_volume_as_loaded_has_its_voxels(grid):
    assert grid.has_voxels_of(grid.size, matrix(grid).ravel().tolist())


def test_the_order_of_the_voxels_does_not_matter(grid):
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            size, to_ras = reordered(grid, axes, flips)
            assert grid.has_voxels_of(size, to_ras.ravel()), (axes, flips)


def test_slices_whose_file_names_run_backwards_are_the_same_voxels(tmp_path):
    there = Series.read(factories.ct_series(tmp_path / "there", spacing=SPACING)).grid
    back = Series.read(factories.ct_series(tmp_path / "back", spacing=SPACING, backwards=True)).grid

    assert there.has_voxels_of(*reordered(back, flips=(False, False, True)))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("voxels", "same"), [(0.09, True), (-0.09, True), (0.11, False), (-0.11, False), (1, False)])
def test_a_shift_of_a_tenth_of_a_voxel_is_too_much(grid, axis, voxels, same):
    to_ras = matrix(grid)
    to_ras[:3, 3] += to_ras[:3, axis] * voxels

    assert grid.has_voxels_of(grid.size, to_ras.ravel()) is same


@pytest.mark.parametrize("axis", range(3))
def test_another_spacing_is_refused_where_it_adds_up(grid, axis):
    to_ras = matrix(grid)
    to_ras[:3, axis] *= 1 + 0.12 / (grid.size[axis] - 1)

    assert not grid.has_voxels_of(grid.size, to_ras.ravel())


def test_a_turn_of_half_a_degree_is_refused(grid):
    row, column = turned(0, 0, 0.5)
    turn = np.eye(4)
    turn[:3, :3] = np.column_stack([row, column, np.cross(row, column)])

    assert not grid.has_voxels_of(grid.size, (matrix(grid) @ turn).ravel())


def test_a_volume_of_another_size_is_refused(grid):
    x, y, z = grid.size

    for size in ((x, y, z - 1), (x, y, z + 1), (x + 1, y, z), (y, x, z)):
        assert not grid.has_voxels_of(size, matrix(grid).ravel()), size


def test_a_volume_resampled_within_the_same_box_is_refused(grid):
    x, y, z = grid.size
    half = matrix(grid) @ np.diag([(x - 1) / (2 * x - 2), 1, 1, 1])
    swapped = matrix(grid) @ np.diag([(x - 1) / (y - 1), (y - 1) / (x - 1), 1, 1])

    assert not grid.has_voxels_of((2 * x - 1, y, z), half.ravel())
    # As many voxels in all, in the same box, but more of them along the other side.
    assert not grid.has_voxels_of((y, x, z), swapped.ravel())


def test_a_sheared_or_collapsed_volume_is_refused(grid):
    sheared, collapsed = matrix(grid), matrix(grid)
    sheared[:3, 0] += 0.1 * sheared[:3, 1]
    collapsed[:3, 2] = 0

    assert not grid.has_voxels_of(grid.size, sheared.ravel())
    assert not grid.has_voxels_of(grid.size, collapsed.ravel())
    assert not grid.has_voxels_of(grid.size, np.zeros(16))


def test_a_single_slice_has_its_voxels_whatever_its_thickness(tmp_path):
    grid = Series.read(factories.ct_series(tmp_path / "s", factories.block((1, 32, 40)), spacing=SPACING)).grid
    thicker = matrix(grid) @ np.diag([1, 1, 2, 1])

    assert grid.has_voxels_of(grid.size, thicker.ravel())
    assert not grid.has_voxels_of((40, 32, 2), thicker.ravel())


def test_the_decimals_of_a_header_do_not_matter(tmp_path):
    def rounded(dataset, _):
        dataset.ImagePositionPatient = [f"{float(v):.2f}" for v in dataset.ImagePositionPatient]
        dataset.ImageOrientationPatient = [f"{float(v):.4f}" for v in dataset.ImageOrientationPatient]

    exact = Series.read(factories.ct_series(tmp_path / "a", spacing=SPACING, axes=PLANES["oblique"])).grid
    grid = Series.read(factories.ct_series(tmp_path / "b", spacing=SPACING, axes=PLANES["oblique"], edit=rounded)).grid

    assert grid.has_voxels_of(exact.size, matrix(exact).ravel())
