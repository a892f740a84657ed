import factories
import numpy as np
import SimpleITK as sitk

from NativeDLLib.postprocess.cleaning import postprocess
from NativeDLLib.registry.entry import make_model


def model(tmp_path):
    entry = factories.entry()
    first = entry["output"]["segments"][0]
    entry["output"] = {"segments": [first | {"label": 5, "name": "A"}, first | {"label": 3, "name": "B"}]}
    return make_model(entry, tmp_path / "registry.json")


def run(tmp_path, labels, *steps, **parameters):
    image = sitk.GetImageFromArray(labels.astype(np.uint8))
    image.SetSpacing((10.0, 10.0, 10.0))
    result = postprocess(image, model(tmp_path).segments, steps, parameters)
    assert result.GetSpacing() == image.GetSpacing()
    return sitk.GetArrayFromImage(result)


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

    assert not run(tmp_path, np.zeros((4, 4, 4)), *steps).any()
