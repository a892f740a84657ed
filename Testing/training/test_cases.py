from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from trainings import ball, image_of

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import resources_folder
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.preprocess import prepare
from NativeDLLib.training.augment import normalise
from NativeDLLib.training.cases import Case, examples, make_case, on_grid, read_cases
from NativeDLLib.training.config import Config, read_config
from NativeDLLib.training.labels import to_classes


def test_a_case_holds_what_inference_sees(config: Config) -> None:
    hu, labels = ball(1, (50, 60, 64))
    image, classes = image_of(hu, 1.4), image_of(labels, 1.4)
    case = make_case(image, classes, classes, {1: 0.5}, config.model.input)
    seen = prepare(image, config.model.input).volume[0]
    assert np.allclose(normalise(case.image, config), seen, atol=1e-5)
    assert case.target.sum().item() * 27 == pytest.approx(labels.sum() * 1.4**3, rel=0.05)
    assert case.image[case.target > 0].mean() > 150
    assert case.uptake[1] == 0.5


def test_labels_in_another_orientation_end_where_they_belong(config: Config) -> None:
    hu, labels = ball(2)
    image, classes = image_of(hu), image_of(labels)
    turned = [sitk.DICOMOrient(part, "PIR") for part in (image, classes)]
    straight = make_case(image, classes, classes, {}, config.model.input)
    again = make_case(turned[0], turned[1], classes, {}, config.model.input)
    assert torch.allclose(straight.image, again.image)
    assert torch.equal(straight.target, again.target)
    assert torch.equal(straight.classes, again.classes)


def test_labels_that_cover_a_part_are_background_elsewhere() -> None:
    _, labels = ball(3)
    whole = image_of(labels)
    part = whole[4:30, 6:30, 5:28]
    found = on_grid(part, whole)
    assert np.array_equal(found[5:28, 6:30, 4:30], labels[5:28, 6:30, 4:30])
    assert not found[:5].any()


def test_a_voxel_is_what_most_of_it_is() -> None:
    fine = np.zeros((4, 4, 8), np.uint8)
    fine[..., 1:4], fine[..., 4:7] = 1, 2  # a quarter of the outer voxels is background
    coarse = sitk.GetImageFromArray(np.zeros((1, 1, 2), np.uint8))
    coarse.SetSpacing((4.0,) * 3)
    coarse.SetOrigin((1.5,) * 3)
    assert on_grid(sitk.GetImageFromArray(fine), coarse).tolist() == [[[1, 2]]]
    fine[..., :3] = 0
    assert on_grid(sitk.GetImageFromArray(fine), coarse).tolist() == [[[0, 2]]]


def test_labels_beyond_what_a_byte_holds_keep_their_uptake(config: Config) -> None:
    hu, labels = ball(1)
    many = image_of(labels.astype(np.uint16) * 3000)
    case = make_case(image_of(hu), many, to_classes(many, {3000: 1}, {}), {3000: 0.7}, config.model.input)
    (label,) = case.classes[case.target > 0].unique().tolist()
    assert label < 200
    assert case.uptake[label] == pytest.approx(0.7)


@pytest.mark.parametrize("label", ["65536", "999999", "9" * 5000, "liver"])
def test_a_map_from_a_label_that_no_file_holds_is_refused_in_words(config: Config, label: str) -> None:
    row = config.rows("train")[0] | {"map": {label: 1}}
    with pytest.raises(UsageError, match=f"row 1: there is no segment '{label[:64]}'"):
        list(examples(config, row, Progress()))


def test_rows_share_the_patches(config: Config, tmp_path: Path) -> None:
    from dataclasses import replace

    from NativeDLLib.core.progress import Progress

    rows = [{**row} for row in config.data["data"]["train"]]
    rows[0]["share"] = 0.8
    rows.append({"phantoms": 2, "seed": 3, "size": [16, 16, 16], "height": 180, "map": {"1": 1}})
    changed = replace(config, data={**config.data, "data": {"train": rows}})
    cases, odds = read_cases(changed, Progress())
    assert len(cases) == 4
    assert odds == pytest.approx([0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3])


def test_a_phantom_has_the_structure_and_its_mean(small_phantom: Case) -> None:
    assert small_phantom.target.any()
    mean = small_phantom.image[small_phantom.target > 0].mean().item()
    assert small_phantom.means[1] == pytest.approx(mean, abs=0.5)


def test_unlabelled_voxels_are_told_apart_by_their_tissue(small_phantom: Case) -> None:
    unlabelled = small_phantom.classes.unique()
    assert {200, 202, 203} <= set(unlabelled.tolist())
    assert small_phantom.means[200] < -700 < small_phantom.means[202] < small_phantom.means[203]


def torso(name: str, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("NATIVEDL_TEST_DATA", str(real_data))
    config = read_config(resources_folder() / "training" / f"{name}.json")
    (example,) = examples(config, config.rows("train")[0], Progress())
    image, _ = example.source.image()
    return make_case(image, example.labels, example.target, example.uptake, config.model.input)


def test_the_torso_is_turned_so_that_the_liver_is_at_small_x(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = torso("liver-ct-demo", real_data, monkeypatch)
    z, y, x = (axis.float().mean() for axis in case.target.nonzero(as_tuple=True))
    assert x < 0.45 * case.image.shape[2]
    assert z > 0.6 * case.image.shape[0]
    assert 0.3 < y / case.image.shape[1] < 0.6


def test_the_sacrum_is_no_vertebra(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = torso("vertebra-ct-demo", real_data, monkeypatch)
    sacrum = (case.classes == 25) | (case.classes == 26)
    assert sacrum.any()
    assert not (case.target[sacrum] == 1).any()
