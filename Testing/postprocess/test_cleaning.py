import factories
import numpy as np
import SimpleITK as sitk

from NativeDLLib.postprocess.state import State, postprocess
from NativeDLLib.registry.load import make_model


def run(tmp_path, labels, *steps, **parameters):
    """Segment Numbers after the steps, of a network that calls the first segment 5 and the second one 3."""
    entry = factories.entry(postprocessing=list(steps))
    first = entry["output"]["segments"][0]
    entry["output"] = {"segments": [first | {"label": 5, "name": "A"}, first | {"label": 3, "name": "B"}]}
    model = make_model(entry, tmp_path / "registry.json")
    image = sitk.GetImageFromArray(np.zeros(labels.shape, np.int16))
    image.SetSpacing((10.0, 10.0, 10.0))
    state = State(image, np.array([0, 5, 3], np.uint16)[labels], model.segments)
    postprocess(state, model.postprocessing, parameters)
    return state.labels


def scattered():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:5, 1:5, 1:5] = 1
    labels[8:10, 8:10, 8:10] = 1
    labels[11, 11, 11] = 1
    labels[1:3, 8:11, 8:11] = 2
    labels[9, 1, 1] = 2
    return labels


def test_only_the_largest_part_of_the_named_segment_is_kept(tmp_path):
    result = run(tmp_path, scattered(), {"step": "keep_largest", "labels": [5]})

    assert (result == 1).sum() == 64
    assert (result == 2).sum() == 19


def test_of_equally_large_parts_exactly_one_is_kept(tmp_path):
    labels = np.zeros((4, 4, 9), np.uint8)
    labels[1:3, 1:3, 1:3] = labels[1:3, 1:3, 6:8] = 1

    assert (run(tmp_path, labels, {"step": "keep_largest"}) == 1).sum() == 8


def test_small_parts_of_all_segments_are_removed_by_volume(tmp_path):
    result = run(tmp_path, scattered(), {"step": "remove_small", "min_ml": 8})

    assert (result == 1).sum() == 64 + 8
    assert (result == 2).sum() == 18


def test_a_setting_can_be_a_parameter(tmp_path):
    step = {"step": "remove_small", "min_ml": {"parameter": "least"}, "enabled": {"parameter": "clean"}}

    assert (run(tmp_path, scattered(), step, least=9.0, clean=True) == 1).sum() == 64
    assert (run(tmp_path, scattered(), step, least=9.0, clean=False) == 1).sum() == 73


def test_holes_are_filled_with_their_own_segment_only(tmp_path):
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:8, 1:8, 1:8] = 1
    labels[3:6, 3:6, 3:6] = 0
    labels[4, 4, 4] = 2

    result = run(tmp_path, labels, {"step": "fill_holes"})

    assert (result == 1).sum() == 7**3 - 1
    assert result[4, 4, 4] == 2


def test_a_hole_that_is_open_to_the_outside_stays(tmp_path):
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:8, 1:8, 1:8] = 1
    labels[4, 4, :5] = 0

    assert run(tmp_path, labels, {"step": "fill_holes"})[4, 4, 4] == 0


def test_nothing_found_stays_nothing(tmp_path):
    steps = [{"step": "keep_largest"}, {"step": "remove_small", "min_ml": 1}, {"step": "fill_holes"}]

    assert not run(tmp_path, np.zeros((4, 4, 4), np.uint8), *steps).any()
