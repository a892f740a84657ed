"""A level that cannot be true is taken from a vertebra, whatever model gave it; one that can be true stays."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.quality.levels import VERTEBRA, certain_levels
from NativeDLLib.registry.load import load_models

LEVELS = ["L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10"]
PITCH = 32  # mm, one voxel each


@pytest.fixture(scope="module")
def spine():
    """Segments of eight vertebrae of another model, from the bottom up, by its codes alone; and their label map."""
    model = load_models()["totalsegmentator-vertebrae"]
    named = {segment.name.split()[0]: segment for segment in model.segments}
    values = np.zeros((len(LEVELS) * PITCH + 20, 80, 60), np.uint16)
    for number in range(1, len(LEVELS) + 1):
        values[body(number), 10:40, 10:50] = number
        values[body(number), 40:75, 27:33] = number
    return tuple(replace(named[level], number=n) for n, level in enumerate(LEVELS, 1)), values


def body(number):
    return slice((number - 1) * PITCH + 10, (number - 1) * PITCH + 36)


def image_of(values, spacing=(1.0, 1.0, 1.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    return image


def without_level(segments):
    return {LEVELS[segment.number - 1] for segment in segments if segment.plausible.level is None}


def codes_of(findings):
    return {finding.code for finding in findings}


@pytest.mark.parametrize(
    "direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, -1, 0, 0, 0, 1), (1, 0, 0, 0, 0.96, -0.28, 0, 0.28, 0.96)]
)
def test_a_spine_as_it_should_be_keeps_all_its_levels(spine, direction):
    segments, values = spine

    assert certain_levels(image_of(values, direction=direction), segments, ()) == (segments, [])


def test_real_vertebrae_keep_their_levels(real_data, spine):
    labels = sitk.ReadImage(str(real_data / "torso_ct_3mm" / "labels.nii.gz"))
    given, values = sitk.GetArrayViewFromImage(labels), None
    values = sum((given == 26 + n).astype(np.uint16) * n for n in range(1, 7))
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(labels)

    assert certain_levels(image, spine[0], ())[1] == []


def merge(values, *numbers):
    values[np.isin(values, numbers)] = numbers[0]
    values[body(numbers[0]).start : body(numbers[-1]).stop, 10:40, 10:50] = numbers[0]


def swap(values, first, second):
    one, two = values == first, values == second
    values[one], values[two] = second, first


def spread(values, number):
    for far in (60, 120):
        values[body(number).start + far : body(number).start + far + 12, 60:79, 2:8] = number


FAULTS = {
    "two in one": (lambda v: merge(v, 3, 4), {"L3"}, "implausible-size"),
    "three in one": (lambda v: merge(v, 6, 7, 8), {"T12"}, "implausible-size"),
    "all in one": (lambda v: v.__setitem__(v > 0, 5), {"L1"}, "implausible-size"),
    "spread over the spine": (lambda v: spread(v, 2), {"L4"}, "implausible-size"),
    "two changed places": (lambda v: swap(v, 4, 5), {"L2", "L1", "L3", "T12"}, "out-of-order"),
    "one far above its place": (lambda v: swap(v, 1, 8), {"L5", "L4", "T11", "T10"}, "out-of-order"),
    "upside down": (lambda v: v.__setitem__(slice(None), v[::-1].copy()), set(LEVELS), "out-of-order"),
    "two levels skipped": (
        lambda v: v.__setitem__(np.isin(v, (4, 5, 6)), 0) or _lower(v, 4, 7),
        {"L3", "T11"},
        "out-of-order",
    ),
    "one level skipped": (lambda v: v.__setitem__(v == 6, 0) or _lower(v, 6, 7), {"L1", "T11"}, "out-of-order"),
    "one without its number": (lambda v: _raise(v, 5), {"L1", "L2"}, "out-of-order"),
    "two in one place": (lambda v: _beside(v, 3, 4), {"L3", "L2"}, "out-of-order"),
}


def _lower(values, gap, first):
    """Let the vertebrae from one on follow directly below a gap."""
    upper = values[body(first).start :].copy()
    values[body(gap).start :] = 0
    values[body(gap).start :][: len(upper)] = upper


def _raise(values, first):
    """Leave room for one more vertebra below one, the highest of all being lost."""
    values[body(first + 1).start :] = values[body(first).start : -PITCH].copy()
    values[body(first)] = 0


def _beside(values, lower, upper):
    values[values == upper] = 0
    half = values[body(lower)]
    half[:, :, 30:][half[:, :, 30:] == lower] = upper


@pytest.mark.parametrize("fault", FAULTS)
def test_a_level_that_cannot_be_true_is_taken_away_and_it_is_said(spine, fault):
    segments, values = spine
    change, doubtful, code = FAULTS[fault]
    values = values.copy()
    change(values)

    after, findings = certain_levels(image_of(values), segments, ())

    assert doubtful & set(LEVELS) <= without_level(after)
    assert code in codes_of(findings)
    changed = [segment for segment in after if segment.plausible.level is None]
    assert all(segment.type == VERTEBRA for segment in changed)
    assert not any(level in segment.name for segment in changed for level in LEVELS)
    assert len({segment.name for segment in after}) == len(after)
    assert {finding.segment for finding in findings} == {segment.name for segment in changed}


def test_a_vertebra_larger_than_any_keeps_no_level(spine):
    segments, _ = spine
    wide = np.zeros((60, 120, 120), np.uint16)
    wide[10:40, 10:80, 10:80] = 2

    after, findings = certain_levels(image_of(wide), segments, ())

    assert without_level(after) == {"L4"}
    assert "has 147 mL, where one vertebra has at most 110" in findings[0].message


def test_two_parts_of_one_vertebra_may_lie_beside_each_other(spine):
    segments, values = spine
    values = values.copy()
    values[body(3), 40:75, 27:33] = 9  # the spinous process, with the code of its vertebra
    parts = (*segments, replace(segments[2], number=9, name="L3 spinous process"))

    assert certain_levels(image_of(values), parts, ()) == (parts, [])


def test_segments_that_are_no_vertebrae_are_left_as_they_are(spine):
    liver = load_models()["liver-ct-demo"].segments

    assert certain_levels(image_of(np.ones((200, 20, 20), np.uint16)), liver, ()) == (liver, [])


def test_a_vertebra_that_ran_together_with_others_is_said_to_have(spine):
    segments, values = spine

    _, findings = certain_levels(image_of(values), segments, (segments[1].label,))

    assert [(finding.code, finding.segment) for finding in findings] == [("not-told-apart", "L4 vertebra")]
