"""Volumes and borders: what is told, in the patient's terms, and what is expected and so is not."""

from dataclasses import replace

import numpy as np
import pytest
from drawing import KIDNEY, LIVER

from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.masks import cut_by_border, cut_by_field, implausible_volumes
from NativeDLLib.registry.entry import Plausible
from NativeDLLib.source.geometry import Grid

AXIAL = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)
CORONAL = (1.0, 0, 0, 0, 0, 1, 0, -1, 0)
SHAPE = (20, 64, 64)


def liver(**plausible):
    return replace(LIVER, plausible=Plausible(**plausible))


def grid(direction=AXIAL, spacing=(4.0, 4.0, 5.0)):
    return Grid(SHAPE[::-1], spacing, (0.0, 0.0, 0.0), tuple(map(float, direction)))


def labels(z=slice(5, 15), y=slice(20, 40), x=slice(15, 30)):
    result = np.zeros(SHAPE, np.uint8)
    result[z, y, x] = 1
    return result


def messages(findings):
    return [finding.message for finding in findings]


def border(mask, direction=AXIAL, **plausible):
    return messages(cut_by_border(mask, grid(direction), [liver(**plausible)]))


@pytest.mark.parametrize(
    ("place", "side"),
    [
        ({"z": slice(0, 9)}, "inferior (48 cm2)"),
        ({"z": slice(9, 20)}, "superior (48 cm2)"),
        ({"y": slice(0, 20)}, "anterior (30 cm2)"),
        ({"y": slice(40, 64)}, "posterior (30 cm2)"),
        ({"x": slice(0, 20)}, "right (40 cm2)"),
        ({"x": slice(40, 64)}, "left (40 cm2)"),
    ],
)
def test_a_mask_that_ends_at_a_border_says_at_which_and_how_much(place, side):
    assert border(labels(**place)) == [f"Liver: cut by the {side} border of the images; its volume is that of a part"]


def test_borders_are_the_patients_whichever_way_the_slices_lie():
    assert "the anterior (48 cm2) border" in border(labels(z=slice(0, 9)), CORONAL)[0]
    turned = (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)
    assert "the left (40 cm2) border" in border(labels(x=slice(0, 20)), turned)[0]


def test_all_borders_of_one_segment_are_one_warning():
    (message,) = border(labels(z=slice(0, 20)))

    assert "inferior (48 cm2) and superior (48 cm2)" in message


def test_a_cut_that_the_entry_expects_is_not_told_and_others_are():
    whole = labels(z=slice(0, 20))

    assert border(whole, cut_at=("H", "F")) == []
    assert "the right (80 cm2) border" in border(labels(z=slice(0, 20), x=slice(0, 9)), cut_at=("H", "F"))[0]


def test_a_mask_within_the_images_or_touching_a_border_with_a_few_voxels_is_let_pass():
    few = labels()
    few[19, 30, 20:26] = 1

    assert border(labels()) == border(few) == []


def test_masks_that_overlap_are_judged_each():
    masks = np.stack([labels(z=slice(0, 9)) > 0, labels() > 0], axis=-1)

    (finding,) = cut_by_border(masks, grid(), [LIVER, KIDNEY])

    assert finding.segment == "Liver"


def volume(mask, ml, elsewhere=(), **plausible):
    return messages(implausible_volumes(mask, [liver(**plausible)], [ml], elsewhere))


def test_a_volume_beyond_what_is_plausible_is_told_with_both():
    for ml in (120.0, 9000.0):
        expected = f"Liver: has {ml:.0f} mL, where 500 to 4500 mL are plausible"
        assert volume(labels(), ml, volume_ml=(500, 4500)) == [expected]
    assert volume(labels(), 1500.0, volume_ml=(500, 4500)) == volume(labels(), 120.0) == []


def test_a_part_may_be_small_but_never_too_large():
    part = labels(z=slice(0, 3))
    circle = [Finding("cut-by-field-of-view", "", "Liver")]

    assert volume(part, 120.0, volume_ml=(500, 4500)) == volume(labels(), 120.0, circle, volume_ml=(500, 4500)) == []
    assert volume(part, 9000.0, volume_ml=(500, 4500)) != []


def test_what_was_not_found_has_no_implausible_volume():
    assert volume(labels() * 0, 0.0, volume_ml=(500, 4500)) == []


def round_field(corner=-2000):
    values = np.random.default_rng(1).normal(30, 12, SHAPE).astype(np.int16)
    y, x = np.indices(SHAPE[1:]) - 31.5
    values[:, np.hypot(y, x) > 32] = corner
    return values, np.hypot(y, x) <= 32


def test_a_mask_that_ends_at_the_edge_of_the_round_field_of_view_is_told():
    values, inside = round_field()
    mask = labels(x=slice(3, 20), y=slice(5, 15)) * inside

    (message,) = messages(cut_by_field(values, mask.astype(np.uint8), grid(), [LIVER]))

    assert message.startswith("Liver: cut by the right (about")
    assert message.endswith("cm2) edge of the scanner's round field of view")


def test_a_mask_inside_a_round_field_or_in_the_corner_of_a_square_one_is_let_pass():
    values, _ = round_field()
    square = np.random.default_rng(1).normal(30, 12, SHAPE).astype(np.int16)

    assert messages(cut_by_field(values, labels(), grid(), [LIVER])) == []
    assert messages(cut_by_field(square, labels(x=slice(3, 20), y=slice(5, 15)), grid(), [LIVER])) == []
