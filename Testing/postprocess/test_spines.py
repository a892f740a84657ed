"""No vertebra of a synthetic spine is given the level of another, whatever the network did: it is right, or silent."""

import numpy as np
import pytest
from spines import ROLES, UPWARDS, Spine, make_spine

from NativeDLLib.postprocess.vertebra_bodies import find_bodies
from NativeDLLib.postprocess.vertebrae import number_vertebrae

pytestmark = pytest.mark.slow

SIX_LUMBAR, THIRTEEN_THORACIC = ["L6", *UPWARDS], [*UPWARDS[:5], "T13", *UPWARDS[5:]]


def random_spine(seed):
    rng = np.random.default_rng(seed)
    every = (UPWARDS, THIRTEEN_THORACIC, SIX_LUMBAR)[rng.integers(3)]
    lowest = int(rng.integers(0, 10)) if rng.random() < 0.5 else 0
    count = int(rng.integers(3, len(every) - lowest + 1))
    merged, first = int(rng.integers(1, min(count, 7))), 0
    if rng.random() < 0.7:
        first = int(rng.integers(0, count - merged))
    else:
        merged = 0
    return Spine(
        every[lowest : lowest + count],
        slices_mm=float(rng.uniform(1, 6)),
        scale=float(rng.uniform(0.85, 1.1)),
        sacrum=lowest == 0 and rng.random() < 0.7,
        merged=list(range(first, first + merged)),
        waist=float(rng.uniform(0.55, 1)),
        missing=[int(rng.integers(count))] if rng.random() < 0.15 else [],
        scoliosis_mm=float(rng.uniform(-40, 40)) if rng.random() < 0.5 else 0.0,
        metal=[int(rng.integers(count))] if rng.random() < 0.15 else [],
        cut_mm=(float(rng.uniform(0, 60)) if rng.random() < 0.4 else 0.0, float(rng.uniform(0, 40))),
        seed=seed,
    )


def by_convention(spine, known_from):
    """Levels counted from one end, as a person counts who does not see the other: nobody can tell a T13 or an L6."""
    levels, every = list(spine.levels), [*UPWARDS, "C2", "C1"]
    if "T13" in levels:
        first = levels.index("T13")
        levels[first:] = every[UPWARDS.index("T12") :][: len(levels) - first]
    return every[: len(levels)] if "L6" in levels and known_from == "sacrum" else levels


def outcome(spine):
    """Numbers of vertebrae that are right, silent and wrong."""
    classes, truth = make_spine(spine)
    found, counts = number_vertebrae(classes, ROLES), {"right": 0, "silent": 0, "wrong": 0}
    levels = by_convention(spine, found.known_from)
    for place, level in enumerate(found.levels, 1):
        own = np.bincount(truth[found.labels == place], minlength=len(levels) + 1)
        if level is None or not own[1:].any():
            counts["silent"] += 1
            continue
        is_right = level == levels[int(own[1:].argmax())] and own[1:].max() > 0.5 * own.sum()
        counts["right" if is_right else "wrong"] += 1
    return counts, found


@pytest.mark.parametrize("seed", range(8))
def test_levels_are_right_or_none_is_named(seed):
    counts, found = outcome(random_spine(seed))

    assert counts["wrong"] == 0, (random_spine(seed), found.levels, found.notes)
    assert counts["silent"] == 0 or found.notes


@pytest.mark.campaign
def test_of_500_spines_no_vertebra_is_given_the_level_of_another(capsys):
    sums, wrong = {"right": 0, "silent": 0, "wrong": 0}, []
    for seed in range(500):
        counts, found = outcome(random_spine(seed))
        sums = {key: sums[key] + counts[key] for key in sums}
        wrong += [(seed, found.levels)] if counts["wrong"] else []
    with capsys.disabled():
        print(sums)

    assert wrong == []


@pytest.mark.parametrize(("slices_mm", "scale"), [(1.0, 0.85), (3.0, 0.85), (3.0, 1.1), (5.0, 1.0), (5.0, 1.1)])
def test_a_whole_spine_without_faults_is_named_completely(slices_mm, scale):
    counts, found = outcome(Spine(UPWARDS[:17], slices_mm=slices_mm, scale=scale))

    assert counts == {"right": 17, "silent": 0, "wrong": 0}
    assert found.notes == ()


@pytest.mark.parametrize("waist", [0.6, 1.0])
@pytest.mark.parametrize("pairs", [1, 2, 4, 10])
def test_any_number_of_vertebrae_that_have_run_together_is_cut_right_or_said(pairs, waist):
    counts, found = outcome(Spine(UPWARDS[:17], merged=list(range(4, 4 + pairs)), waist=waist))

    assert counts["wrong"] == 0
    assert counts["right"] >= 4  # below, from the sacrum
    assert counts["silent"] == 0 or not all(found.sure)
    assert found.labels.max() >= 5  # the heap is never one


@pytest.mark.parametrize("pairs", range(1, 6))
def test_a_heap_of_vertebrae_alone_is_never_one_with_a_level(pairs):
    levels = UPWARDS[3 : 4 + pairs]
    counts, found = outcome(Spine(levels, sacrum=False, merged=list(range(pairs))))

    assert counts["wrong"] == 0
    assert counts["silent"] == sum(counts.values())
    assert not all(found.sure)


def test_six_lumbar_vertebrae_are_not_counted_where_both_ends_are_seen():
    counts, found = outcome(Spine(SIX_LUMBAR[:12]))

    assert counts == {"right": 0, "silent": 12, "wrong": 0}
    assert "6 lumbar" in found.notes[0]


def test_levels_beyond_what_is_uncertain_are_named_from_the_other_end():
    # L2 to T12 are a heap without waists: L5 to L3 are known from the sacrum only.
    counts, found = outcome(Spine(UPWARDS[:12], merged=[3, 4]))

    assert counts["wrong"] == 0
    assert found.levels[-3:] == ("L3", "L4", "L5")


def test_a_core_as_high_as_five_is_five_bodies_and_not_certain():
    core = np.zeros((110, 20, 20), bool)
    for place in range(3):
        core[4 + 11 * place : 13 + 11 * place, 6:14, 6:14] = True
    core[37:90, 6:14, 6:14] = True

    bodies = find_bodies(core, core.copy())

    assert [body.sure for body in bodies] == [True] * 3 + [False] * 5
    assert max(np.ptp(body.voxels // 400) for body in bodies) < 13
