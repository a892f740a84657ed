"""Adding nnU-Net results folders: what their plans say, and that they then give nnU-Net's own labels."""

import json

import factories
import numpy as np
import own_models
import pydicom
import pytest
import SimpleITK as sitk
from own_models import refusal
from tools import nativedl

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.inference.nnunet_files import keeps_network
from NativeDLLib.models.add.install import user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions, template
from NativeDLLib.registry import load_models
from NativeDLLib.source import Series

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
import nnunet_folder  # noqa: E402  (imports nnunetv2)

pytestmark = pytest.mark.slow

OTHER, ANSWERS = own_models.OTHER, own_models.TWO_LABELS
NAME = "nnUNetTrainer__nnUNetPlans__3d_fullres"


def structured():
    """Return smooth random values, so that a random network has something to disagree about."""
    rng = np.random.default_rng(5)
    image = sitk.GetImageFromArray(rng.normal(0, 1, (22, 44, 40)).astype(np.float32))
    return sitk.GetArrayFromImage(sitk.Cast(sitk.SmoothingRecursiveGaussian(image, 1.5) * 2000, sitk.sitkInt16))


@pytest.fixture
def series(tmp_path):
    factories.ct_series(tmp_path / "series", structured(), spacing=(0.9, 0.8, 2.5))
    return tmp_path / "series"


def test_an_added_folder_is_checked_shown_and_gives_the_labels_of_nnunet_itself(tmp_path, series, capsys):
    folder = nnunet_folder.write(tmp_path / "Dataset901_Random" / NAME, folds=(0, 1))
    (tmp_path / "answers.json").write_text(json.dumps(ANSWERS))

    assert nativedl("models", "add", folder.parent, "--answers", tmp_path / "answers.json") == 0
    printed = capsys.readouterr().out
    assert "spacing 2 x 1.1 x 1.1 mm, patch 16 x 24 x 24" in printed
    assert "label 1 'liver': 10200004 SCT Liver" in printed
    image, _ = Series.read([series]).image()
    expected = nnunet_folder.reference_labels(folder, image, (0, 1))
    folder.rename(tmp_path / "gone")

    assert nativedl("models", "check", user_registry()) == 0
    assert nativedl("models", "show", "dataset901_random") == 0
    labels = own_models.labels_of_run(series, "dataset901_random", tmp_path / "out")

    assert len(np.unique(expected)) > 1
    assert np.mean(labels == expected) >= 0.999


def test_the_entry_says_what_the_plans_say(tmp_path):
    model = own_models.add_model(nnunet_folder.write(tmp_path / NAME, folds=(0, 1)), ANSWERS)

    assert model.runtime == "nnunetv2"
    assert model.input.modality == "CT"
    assert model.input.spacing == (2.0, 1.1, 1.1)
    assert model.input.patch_size == (16, 24, 24)
    assert model.input.channels[0].clip == (-900, 1200)
    assert model.input.channels[0].normalization == {"mean": 40.0, "std": 300.0}
    assert model.input.orientation is None
    assert [(segment.label, segment.name, segment.type.value) for segment in model.segments] == [
        (1, "liver", "10200004"),
        (2, "other", "78961009"),
    ]
    assert model.weights.folds == (0, 1)
    assert set(model.weights.files) == {
        "plans.json",
        "dataset.json",
        "fold_0/checkpoint_final.pth",
        "fold_1/checkpoint_final.pth",
    }
    assert [parameter.name for parameter in model.parameters] == ["step", "mirror"]


def old_layout(plans):
    configuration = plans["configurations"]["3d_fullres"]
    settings = configuration.pop("architecture")["arch_kwargs"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 16,
        "n_conv_per_stage_encoder": settings["n_conv_per_stage"],
        "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
        "num_pool_per_axis": [2, 2, 2],
        "pool_op_kernel_sizes": settings["strides"],
        "conv_kernel_sizes": settings["kernel_sizes"],
    }
    plans["configurations"] = {
        "base": configuration,
        "3d_fullres": {"inherits_from": "base", "patch_size": [16, 16, 32]},
    }
    plans["foreground_intensity_properties_by_modality"] = plans.pop("foreground_intensity_properties_per_channel")


def test_plans_of_older_versions_and_inherited_configurations_are_read(tmp_path):
    folder = nnunet_folder.write(
        tmp_path / NAME, change_plans=old_layout, change_dataset=lambda d: d.update(modality=d.pop("channel_names"))
    )

    draft = read_source(folder)

    assert draft.entry["input"]["spacing"] == [2.0, 1.1, 1.1]
    assert draft.entry["input"]["patch_size"] == [16, 16, 32]
    assert draft.entry["input"]["intensity"]["clip"] == [-900, 1200]


def test_spacing_and_patch_are_in_the_order_of_the_image_s_axes(tmp_path):
    def transposed(plans):
        plans.update(transpose_forward=[1, 2, 0], transpose_backward=[2, 0, 1])
        plans["configurations"]["3d_fullres"]["spacing"] = [1.0, 2.0, 3.0]

    draft = read_source(nnunet_folder.write(tmp_path / NAME, change_plans=transposed))

    assert draft.entry["input"]["spacing"] == [3.0, 1.0, 2.0]
    assert draft.entry["input"]["patch_size"] == [24, 16, 24]


def test_a_flat_network_has_no_spacing_between_slices(tmp_path):
    model = own_models.add_model(nnunet_folder.write(tmp_path / "results", configuration="2d"), ANSWERS)

    assert model.input.spacing is None
    assert model.input.patch_size is None


@pytest.mark.parametrize("place", ["elsewhere", "beside the registry"])
def test_a_folder_of_links_as_hugging_face_makes_them_is_copied(tmp_path, place):
    root = tmp_path if place == "elsewhere" else user_registry().parent
    folder = nnunet_folder.write(root / "snapshots" / NAME)
    (root / "blobs").mkdir()
    for number, file in enumerate([path for path in folder.rglob("*") if path.is_file()]):
        file.rename(root / "blobs" / str(number))
        file.symlink_to(root / "blobs" / str(number))

    model = own_models.add_model(folder, ANSWERS)

    assert model.weights.place.startswith(f"weights/{model.id}/")
    assert not any(path.is_symlink() for path in (user_registry().parent / "weights").rglob("*"))
    assert nativedl("models", "check", user_registry()) == 0


def test_folds_and_labels_can_be_chosen(tmp_path):
    folder = nnunet_folder.write(tmp_path / NAME, folds=(0, 1, 2))
    (tmp_path / "answers.json").write_text(json.dumps(own_models.IDENTITY | {"input": own_models.STORED}))

    add = ("models", "add", folder, "--answers", tmp_path / "answers.json", "--id", "own")
    assert nativedl(*add, "--folds", 1, "--only", "liver") == 0

    model = load_models()["own"]
    assert model.weights.folds == (1,)
    assert [segment.name for segment in model.segments] == ["liver"]
    assert nativedl(*add[:-1], "other", "--folds", 4) == 4
    assert nativedl(*add[:-1], "other", "--only", "spleen") == 2


def regions(dataset):
    dataset["labels"] = {"background": 0, "whole": [1, 2], "core": [2]}
    dataset["regions_class_order"] = [1, 2]


def test_labels_of_overlapping_regions_get_no_name_of_a_region(tmp_path, series):
    folder = nnunet_folder.write(tmp_path / NAME, change_dataset=regions, classes=2)
    draft = read_source(folder)

    assert [row.get("name") for row in draft.entry["output"]["segments"]] == [None, None]
    assert any(
        "label 1 is what is in 'whole' ([1, 2]) and in no region written after it" in line for line in draft.told
    )
    named = [OTHER | {"label": label, "name": name} for label, name in ((1, "rim"), (2, "core"))]
    model = own_models.add_model(folder, ANSWERS | {"output": {"segments": named}})
    image, _ = Series.read([series]).image()
    expected = nnunet_folder.reference_labels(folder, image, (0,))
    labels = own_models.labels_of_run(series, model.id, tmp_path / "out")
    assert set(np.unique(expected)) == {0, 1, 2}
    assert np.mean(labels == expected) >= 0.999


def test_what_is_missing_is_named_and_can_be_filled_in_a_template(tmp_path, capsys):
    folder = nnunet_folder.write(tmp_path / NAME, change_dataset=lambda d: d["labels"].update(kidney_left=3))

    assert nativedl("models", "add", folder) == 2
    message = capsys.readouterr().err
    assert (
        "missing: title, license, intended_use, input.body_parts, input.keywords, input.orientation, output.segments[1]"
        in message
    )
    assert "segments[0]" not in message
    assert message.count("\n") == 1
    assert not user_registry().parent.exists()
    assert nativedl("models", "add", folder, "--template", tmp_path / "t.json") == 0
    assert nativedl("models", "add", folder, "--template", tmp_path / "t.json") == 2

    content = json.loads((tmp_path / "t.json").read_text())
    assert content["license"] is None
    assert content["title"] == "Dataset901_Random"
    other, kidney = content["output"]["segments"]
    assert other["type"] is None
    assert kidney["type"]["value"] == "64033007"
    assert kidney["type_modifier"] == {"value": "7771000", "scheme": "SCT", "meaning": "Left"}
    assert [q.place for q in questions(read_source(folder))] != []
    assert template(read_source(folder)) == content


def test_several_results_folders_are_told_apart_by_the_user(tmp_path):
    for name in (NAME, "nnUNetTrainer__nnUNetPlans__2d"):
        nnunet_folder.write(tmp_path / "Dataset901_Random" / name)

    message = refusal(UsageError, tmp_path / "Dataset901_Random")
    assert NAME in message
    assert "name the one" in message
    assert "no plans.json" in refusal(UsageError, tmp_path)


def test_answers_cannot_contradict_the_plans(tmp_path):
    folder = nnunet_folder.write(tmp_path / NAME)

    with pytest.raises(UsageError, match=r"input.spacing: the network says \[2.0, 1.1, 1.1\]"):
        own_models.add_model(folder, ANSWERS | {"input": {"spacing": [1, 1, 1]}})
    with pytest.raises(UsageError, match="there is no label 7; there are 1, 2"):
        own_models.add_model(folder, ANSWERS | {"output": {"segments": [OTHER | {"label": 7}]}})


@pytest.mark.parametrize("orientation", ["LAS", "RAS"])
def test_a_model_finds_the_same_as_nnunet_on_images_stored_as_its_training_images_were(tmp_path, series, orientation):
    folder = nnunet_folder.write(tmp_path / NAME)
    own = {"input": own_models.PURPOSE | {"orientation": orientation}}
    own_models.add_model(folder, ANSWERS | own)

    image, _ = Series.read([series]).image()
    stored = sitk.DICOMOrient(image, orientation)
    expected = sitk.GetImageFromArray(nnunet_folder.reference_labels(folder, stored, (0,)).astype(np.uint8))
    expected.CopyInformation(stored)
    labels = own_models.labels_of_run(series, "dataset901_random", tmp_path / "out")

    assert np.mean(labels == sitk.GetArrayFromImage(sitk.DICOMOrient(expected, "LPS"))) >= 0.999


@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIO", "NibabelIOWithReorient"])
def test_no_folder_is_added_before_somebody_said_how_its_images_were_stored(tmp_path, reader):
    draft = read_source(nnunet_folder.write(tmp_path / NAME, reader=reader))

    asked = [question for question in questions(draft) if question.place == ("input", "orientation")]
    if reader == "NibabelIOWithReorient":
        assert draft.entry["input"]["orientation"] == "RAS"
        assert asked == []
    else:
        (question,) = asked
        assert question.offer is None
        assert question.answer("las") == "LAS"
        assert question.answer("stored") == "stored"
        with pytest.raises(ValueError, match="does not match"):
            question.answer("LPL")


def test_an_entry_that_is_silent_about_orientation_is_warned_of_at_each_run(tmp_path, series, capsys):
    own_models.add_model(nnunet_folder.write(tmp_path / NAME), ANSWERS)
    content = json.loads(user_registry().read_text())
    del content["models"][0]["input"]["orientation"]
    user_registry().write_text(json.dumps(content))

    own_models.labels_of_run(series, "dataset901_random", tmp_path / "out")

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("left and right may be exchanged" in warning for warning in report["warnings"])


def test_a_trainer_that_may_have_changed_the_network_is_refused_until_somebody_confirms_it(tmp_path):
    folder = nnunet_folder.write(tmp_path / NAME, trainer="nnUNetTrainerRelu")

    with pytest.raises(UsageError, match="missing: trainer"):
        own_models.add_model(folder, ANSWERS)
    draft = read_source(folder)
    (question,) = [question for question in questions(draft) if question.place == ("trainer",)]
    with pytest.raises(ValueError, match="that is not nnUNetTrainerRelu"):
        question.answer("nnUNetTrainer")
    assert (
        own_models.add_model(folder, ANSWERS | {"trainer": "nnUNetTrainerRelu"}).data["trainer"] == "nnUNetTrainerRelu"
    )
    with pytest.raises(ModelError, match="'nnUNetTrainerRelu' is none of nnU-Net's own"):
        own_models.add_model(folder, ANSWERS | {"id": "other", "trainer": "nnUNetTrainer"})


def test_a_confirmed_trainer_stands_in_the_report_and_in_the_seg(tmp_path, series):
    own_models.add_model(nnunet_folder.write(tmp_path / NAME, trainer="Ours"), ANSWERS | {"trainer": "Ours"})

    own_models.labels_of_run(series, "dataset901_random", tmp_path / "out")

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["algorithm"]["parameters"]["trainer"] == "Ours"
    (identification,) = (
        pydicom.dcmread(tmp_path / "out" / "segmentation.dcm")
        .SegmentSequence[0]
        .SegmentationAlgorithmIdentificationSequence
    )
    assert "Ours" in identification.AlgorithmParameters


@pytest.mark.parametrize(
    ("trainer", "kept"),
    [
        ("nnUNetTrainer", True),
        ("nnUNetTrainerNoMirroring", True),
        ("nnUNetTrainer_4000epochs_NoMirroring", True),
        ("nnUNetTrainer_DASegOrd0_NoMirroring", True),
        ("nnUNetTrainerDA5", True),
        ("nnUNetTrainer_onlyMirror01_1500ep", True),
        ("nnUNetTrainerBN", False),
        ("nnUNetTrainerNoMirroringRelu", False),
        ("nnUNet_PrimusV3M_Trainer", False),
        ("STUNetTrainer", False),
    ],
)
def test_only_trainers_of_nnunet_that_train_the_network_of_the_plans_are_taken_by_name(trainer, kept):
    assert keeps_network(trainer) == kept
