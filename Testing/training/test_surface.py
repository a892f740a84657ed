from __future__ import annotations

import numpy as np
import pytest

from NativeDLLib.training.entry import score, summary, table


def box(low: int, high: int) -> np.ndarray:
    mask = np.zeros((20, 20, 40), bool)
    mask[5:15, 5:15, low:high] = True
    return mask


def test_dice_is_the_overlap_of_two_masks() -> None:
    assert score(box(5, 15), box(5, 15), (1, 1, 1))["dice"] == 1
    assert score(box(5, 15), box(10, 20), (1, 1, 1))["dice"] == pytest.approx(0.5)


def test_the_same_surface_is_nowhere_apart() -> None:
    same = score(box(5, 15), box(5, 15), (1, 1, 1))
    assert same["surface_mm"] == 0
    assert same["hausdorff95_mm"] == 0


def test_distances_are_in_millimetres_along_each_axis() -> None:
    shifted = score(box(5, 15), box(9, 19), (2.0, 1.0, 1.0))
    assert shifted["hausdorff95_mm"] == pytest.approx(8, abs=0.5)
    assert score(box(5, 15), box(9, 19), (1.0, 5.0, 5.0))["hausdorff95_mm"] == pytest.approx(4, abs=0.5)


def test_a_speck_far_away_moves_the_mean_but_not_the_95th_percentile() -> None:
    found = box(5, 15)
    found[10, 10, 38] = True
    apart = score(found, box(5, 15), (1, 1, 1))
    assert apart["hausdorff95_mm"] == 0
    assert apart["surface_mm"] is not None
    assert 0 < apart["surface_mm"] < 0.2


def test_where_a_mask_is_empty_there_is_no_distance() -> None:
    nothing = np.zeros((20, 20, 40), bool)
    assert score(nothing, nothing, (1, 1, 1))["dice"] == 1
    missed = score(nothing, box(1, 2), (1, 1, 1))
    assert missed["dice"] == 0
    assert missed["surface_mm"] is None


def test_the_summary_is_the_mean_of_the_cases_that_have_a_value() -> None:
    def case(data: str, dice: float, mm: float | None) -> dict:
        segment = {"name": "Liver", "dice": dice, "surface_mm": mm, "hausdorff95_mm": mm}
        return {"data": data, "segments": [segment], "device": "cpu", "seconds": 2.0, "peak_mib": 5}

    rows = summary([case("a", 0.5, 4.0), case("a", 0.0, None), case("b", 1.0, None)])
    assert [row["cases"] for row in rows] == [2, 1]
    assert rows[0]["dice"] == {"Liver": 0.25}
    assert rows[0]["surface_mm"] == {"Liver": 4.0}
    assert rows[1]["surface_mm"] == {}
    lines = table(rows)
    assert len(lines) == 3
    assert "4.0 mm" in lines[1]
    assert lines[2].endswith("-         -")
