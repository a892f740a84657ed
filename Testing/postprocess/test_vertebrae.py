"""Vertebrae are told apart and named, seen on classes of which the truth is known."""

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.phantom.bones import LEVELS
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.postprocess.vertebrae import number_vertebrae
from NativeDLLib.training.labels import CORE, VERTEBRA, to_classes

pytestmark = pytest.mark.slow

ROLES = {"vertebra": 1, "core": 2, "sacrum": 3, "rib": 4}
SACRUM, RIB = 3, 4
TORSO = {27: "L5", 28: "L4", 29: "L3", 30: "L2", 31: "L1", 32: "T12"}
UPWARDS = list(LEVELS.values())  # of the phantom: L5 to T6
NEAREST = sitk.sitkNearestNeighbor


@pytest.fixture(scope="module")
def phantom():
    """Classes of twelve vertebrae with sacrum and ribs, and what is true, the index of each level from 1."""
    _, labels = make_phantom(3, (110, 100, 160), (3.0, 3.0, 3.0), levels=True)
    classes = to_classes(
        labels, dict.fromkeys(LEVELS, VERTEBRA) | {3: SACRUM, 5: RIB}, {"target": "vertebrae", "canal": [19]}
    )
    return classes, truth_on(labels, classes, LEVELS)


def truth_on(labels, classes, levels):
    values = sitk.GetArrayFromImage(sitk.Resample(labels, classes, sitk.Transform(), NEAREST, 0))
    truth = np.zeros(values.shape, np.uint8)
    for number, label in enumerate(levels, 1):
        truth[values == label] = number
    return like(truth, classes)


def like(values, image):
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result


def dice(found, truth, levels):
    """Return Dice by level, of the levels found and of those there."""
    truth, result = sitk.GetArrayFromImage(truth), {}
    for place, level in enumerate(found.levels, 1):
        mask, there = found.labels == place, truth == levels.index(level) + 1
        result[level] = 2 * np.count_nonzero(mask & there) / (np.count_nonzero(mask) + np.count_nonzero(there))
    return result


def changed(classes, change):
    values = sitk.GetArrayFromImage(classes)
    change(values)
    return like(values, classes)


def centre_z(truth, level):
    return int(np.mean(np.nonzero(sitk.GetArrayViewFromImage(truth) == UPWARDS.index(level) + 1)[0]))


def test_each_vertebra_of_a_real_torso_is_found_with_its_level(real_data):
    labels = sitk.ReadImage(str(real_data / "torso_ct_3mm" / "labels.nii.gz"))
    mapping = dict.fromkeys([*TORSO, 33], VERTEBRA) | {25: SACRUM, 26: SACRUM} | dict.fromkeys(range(92, 116), RIB)
    classes = to_classes(labels, mapping, {"target": "vertebrae", "canal": [79]})

    found = number_vertebrae(classes, ROLES)

    assert found.levels == ("T12", "L1", "L2", "L3", "L4", "L5")
    assert found.known_from == "sacrum"
    assert found.notes == ()
    assert min(dice(found, truth_on(labels, classes, TORSO), list(TORSO.values())).values()) > 0.95


def test_body_and_posterior_elements_are_together(phantom):
    classes, truth = phantom

    found = number_vertebrae(classes, ROLES)

    assert found.levels == tuple(reversed(UPWARDS))
    assert found.known_from == "sacrum"
    assert min(dice(found, truth, UPWARDS).values()) > 0.93


def test_every_voxel_found_is_of_a_vertebra_and_next_to_none_is_lost(phantom):
    values = sitk.GetArrayViewFromImage(phantom[0])
    vertebrae = (values == VERTEBRA) | (values == CORE)

    found = number_vertebrae(phantom[0], ROLES).labels > 0

    assert not np.any(found & ~vertebrae)
    assert np.count_nonzero(found) > 0.999 * np.count_nonzero(vertebrae)


def test_rough_edges_change_no_level(phantom):
    classes, truth = phantom

    def roughen(values):
        rng = np.random.default_rng(0)
        edge = values != np.roll(values, 1, axis=1)
        swapped = edge & (rng.random(values.shape) < 0.4)
        values[swapped] = np.roll(values, 1, axis=1)[swapped]
        stray = rng.random(values.shape) < 0.0005
        values[stray] = rng.integers(1, 5, np.count_nonzero(stray))

    found = number_vertebrae(changed(classes, roughen), ROLES)

    assert found.levels == tuple(reversed(UPWARDS))
    assert min(dice(found, truth, UPWARDS).values()) > 0.8


def test_a_sliver_beside_a_vertebra_is_none_of_its_own():
    values = np.zeros((16, 40, 40), np.uint8)
    y, x = np.indices((40, 40)) - 20
    values[:, np.hypot(y, x) < 7] = VERTEBRA
    values[1:8, np.hypot(y, x) < 4] = CORE
    values[12:15, 18:22, 28:31] = VERTEBRA
    values[12:15, 18:22, 28:30] = CORE
    classes = sitk.GetImageFromArray(values)
    classes.SetSpacing((3.0, 3.0, 3.0))

    found = number_vertebrae(classes, ROLES)

    assert np.unique(found.labels[values > 0]).tolist() == [1]


def test_without_the_sacrum_levels_are_counted_from_the_last_ribs(phantom):
    classes, truth = phantom
    bottom = centre_z(truth, "L3")

    found = number_vertebrae(classes[:, :, bottom:], ROLES)

    assert found.known_from == "ribs"
    assert found.levels == ("T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3")
    assert dice(found, truth[:, :, bottom:], UPWARDS)["T12"] > 0.93


def test_the_last_ribs_are_only_known_as_such_with_a_whole_vertebra_without_below(phantom):
    classes, truth = phantom

    found = number_vertebrae(classes[:, :, centre_z(truth, "L1") :], ROLES)

    assert found.known_from is None
    assert set(found.levels) == {None}


def test_with_neither_vertebrae_are_numbered_from_the_top_and_it_is_said(phantom):
    classes, truth = phantom
    low, high = centre_z(truth, "L4"), centre_z(truth, "L1")

    found = number_vertebrae(changed(classes, lambda v: np.putmask(v, v == RIB, 0))[:, :, low:high], ROLES)

    assert found.known_from is None
    assert set(found.levels) == {None}
    assert "levels unknown: neither the sacrum nor the last ribs can be made out" in found.notes[0]
    assert "numbered from the top of the image" in found.notes[0]
    heights = [np.mean(np.nonzero(found.labels == place)[0]) for place in range(1, int(found.labels.max()) + 1)]
    assert heights == sorted(heights, reverse=True)
    assert len(heights) == 4


@pytest.mark.parametrize("missing", ["ribs of T12", "L1"])
def test_where_sacrum_and_ribs_contradict_each_other_no_level_is_named_and_it_is_said(phantom, missing):
    classes, truth = phantom

    def edit(values):
        if missing == "L1":
            low, high = centre_z(truth, "L2"), centre_z(truth, "L1")
            values[low : low - high] = values[high:].copy()
            values[low - high :] = 0
        else:
            last = values[centre_z(truth, "T12") - 8 : centre_z(truth, "T12") + 8]
            last[last == RIB] = 0

    found = number_vertebrae(changed(classes, edit), ROLES)

    assert found.known_from is None
    assert set(found.levels) == {None}
    assert "counted from the sacrum and from the last ribs they differ" in found.notes[0]
    assert "13 thoracic or 6 lumbar vertebrae" in found.notes[0]


def test_a_transverse_process_taken_for_a_rib_changes_no_level(phantom):
    classes, truth = phantom
    bottom, first = centre_z(truth, "L4"), centre_z(truth, "L2")

    def stray(values):
        columns = np.flatnonzero((values[first] == CORE).any(axis=0))
        rows = np.flatnonzero((values[first] == CORE).any(axis=1))
        values[first - 2 : first + 2, rows[0] : rows[-1], columns[-1] + 4 : columns[-1] + 6] = RIB

    edited = changed(classes, stray)
    found = number_vertebrae(edited[:, :, bottom:], ROLES)

    assert np.count_nonzero(sitk.GetArrayViewFromImage(edited) == RIB) > np.count_nonzero(
        sitk.GetArrayViewFromImage(classes) == RIB
    )
    assert found.levels[-2:] == ("L3", "L4")


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 5.0), (1.5, 1.5, 1.0), (3.0, 3.0, 3.0)])
def test_the_voxels_may_have_any_size(phantom, spacing):
    found, truth = on_another_grid(phantom, spacing=spacing)

    assert found.levels == tuple(reversed(UPWARDS))
    assert min(dice(found, truth, UPWARDS).values()) > 0.9


@pytest.mark.parametrize(
    "direction",
    [
        pytest.param(np.diag([1.0, 1.0, -1.0]), id="from the head down"),
        pytest.param(np.diag([-1.0, -1.0, 1.0]), id="prone"),
        pytest.param(np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), id="sagittal"),
        pytest.param(np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]]), id="oblique"),
    ],
)
def test_the_axes_may_have_any_direction(phantom, direction):
    found, truth = on_another_grid(phantom, direction=direction)

    assert found.levels == tuple(reversed(UPWARDS))
    assert min(dice(found, truth, UPWARDS).values()) > 0.9


def on_another_grid(phantom, spacing=(2.0, 2.0, 2.0), direction=None):
    """Return the vertebrae of the phantom in voxels of another size, and along other axes; and the truth there."""
    classes, truth = phantom
    axes = np.eye(3) if direction is None else direction
    low = np.array(classes.GetOrigin())
    high = np.array(classes.TransformIndexToPhysicalPoint([n - 1 for n in classes.GetSize()]))
    corners = np.array([np.where(choice, high, low) for choice in np.ndindex(2, 2, 2)]) @ axes
    size = np.ceil(np.ptp(corners, axis=0) / spacing).astype(int) + 1
    origin = axes @ corners.min(axis=0)

    def place(image):
        return sitk.Resample(
            image, size.tolist(), sitk.Transform(), NEAREST, origin.tolist(), spacing, axes.ravel().tolist(), 0
        )

    return number_vertebrae(place(classes), ROLES), place(truth)


def test_bodies_that_have_run_together_are_cut(phantom):
    classes, truth = phantom
    two = np.isin(sitk.GetArrayFromImage(truth), [3, 4])

    def fuse(values):
        core = values == CORE
        column = (core & two).any(axis=0)
        z = np.flatnonzero((core & two).any(axis=(1, 2)))
        values[z[0] : z[-1] + 1, column] = CORE

    found = number_vertebrae(changed(classes, fuse), ROLES)

    assert found.levels == tuple(reversed(UPWARDS))
    assert min(dice(found, truth, UPWARDS).values()) > 0.8


def test_a_body_in_pieces_is_one_vertebra(phantom):
    classes, truth = phantom

    found = number_vertebrae(
        changed(classes, lambda v: v.__setitem__((centre_z(truth, "L2"), v[centre_z(truth, "L2")] == CORE), VERTEBRA)),
        ROLES,
    )

    assert found.levels == tuple(reversed(UPWARDS))


def test_a_body_whose_core_was_missed_is_found(phantom):
    classes, truth = phantom
    third = sitk.GetArrayViewFromImage(truth) == 3

    found = number_vertebrae(changed(classes, lambda v: np.putmask(v, (v == CORE) & third, VERTEBRA)), ROLES)

    assert found.levels == tuple(reversed(UPWARDS))
    assert dice(found, truth, UPWARDS)["L3"] > 0.85


def test_a_vertebra_that_was_missed_altogether_is_counted_and_said(phantom):
    classes, truth = phantom
    third = sitk.GetArrayViewFromImage(truth) == 3

    found = number_vertebrae(changed(classes, lambda v: np.putmask(v, third, 0)), ROLES)

    assert found.levels == tuple(level for level in reversed(UPWARDS) if level != "L3")
    assert found.notes == ("no body was found between L4 and L2, where there is room for one",)


def test_bone_beside_the_spine_is_no_vertebra(phantom):
    classes, _ = phantom

    found = number_vertebrae(changed(classes, lambda v: v[5:10, 40:46, 5:11].fill(CORE)), ROLES)

    assert found.levels == tuple(reversed(UPWARDS))


def test_spinous_processes_alone_are_vertebrae_too(phantom):
    found = number_vertebrae(changed(phantom[0], lambda v: np.putmask(v, v != VERTEBRA, 0))[:, 58:], ROLES)

    assert found.labels.max() >= 1
    assert found.known_from is None


def test_an_arch_that_nothing_joins_to_its_body_in_a_few_slices_is_of_the_same_vertebra():
    values = np.zeros((2, 60, 40), np.uint8)
    y, x = np.indices((60, 40))
    values[:, (y - 20) ** 2 + (x - 20) ** 2 < 60] = VERTEBRA
    values[:, (y - 20) ** 2 + (x - 20) ** 2 < 30] = CORE
    values[:, 35:38, 12:29] = VERTEBRA  # behind a canal of 21 mm
    slices = sitk.GetImageFromArray(values)
    slices.SetSpacing((3.0, 3.0, 3.0))

    found = number_vertebrae(slices, ROLES)

    assert np.array_equal(found.labels, (values > 0).astype(int))


def test_an_image_without_vertebrae_has_none(phantom):
    found = number_vertebrae(changed(phantom[0], lambda v: v.fill(0)), ROLES)

    assert not found.labels.any()
    assert found.levels == ()
