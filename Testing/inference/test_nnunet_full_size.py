"""The public models' folders: as large as the real ones, of the same make, fetched and run as the real ones will be."""

import json
import shutil

import factories
import numpy as np
import pytest
import SimpleITK as sitk
from tools import nativedl

from NativeDLLib.inference.engine import load_engine
from NativeDLLib.inference.nnunet_files import load_checkpoint
from NativeDLLib.registry import load_models
from NativeDLLib.registry.weights import Weights, verified_weights
from NativeDLLib.source import Series

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
import nnunet_folder  # noqa: E402  (imports nnunetv2)
import nnunet_full_size  # noqa: E402

pytestmark = pytest.mark.campaign

ORGANS = [
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas", "adrenal_gland_right",
    "adrenal_gland_left", "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right",
    "lung_middle_lobe_right", "lung_lower_lobe_right", "esophagus", "trachea", "thyroid_gland", "small_bowel",
    "duodenum", "colon", "urinary_bladder", "prostate", "kidney_cyst_left", "kidney_cyst_right",
]  # fmt: skip
LEVELS = ["S1", *(f"{part}{n}" for part, most in (("L", 5), ("T", 12), ("C", 7)) for n in range(most, 0, -1))]
SPINE = ["sacrum", *(f"vertebrae_{level}" for level in LEVELS)]
FOLDERS = {
    "totalsegmentator-liver": (ORGANS, 1.5),
    "totalsegmentator-vertebrae": (SPINE, 1.5),
    "totalsegmentator-3mm": (ORGANS + SPINE + [f"structure_{n}" for n in range(51, 118)], 3.0),
}


def fetch(tmp_path, model_id, **options):
    """Fetch a bundled entry from an archive such as its URL has, and return the entry."""
    model = load_models()[model_id]
    names, spacing = FOLDERS[model_id]
    dataset, results = model.weights.place.split("/")
    folder = tmp_path / dataset
    nnunet_full_size.write(folder / results, names, spacing, results.partition("__")[0], **options)
    archive = nnunet_full_size.pack(folder, tmp_path / f"{dataset}.zip")
    assert nativedl("models", "fetch", model_id, "--from-file", archive, "--yes") == 0
    return model


def structured():
    """A smooth random image, so that a random network has something to disagree about."""
    image = sitk.GetImageFromArray(np.random.default_rng(5).normal(0, 1, (20, 36, 40)).astype(np.float32))
    return sitk.GetArrayFromImage(sitk.Cast(sitk.SmoothingRecursiveGaussian(image, 1.5) * 2000, sitk.sitkInt16))


def of_plain_trainer(folder, tmp_path):
    """Copy a folder for nnU-Net itself, which would import every trainer there is to find the one that is named."""
    copy = shutil.copytree(folder, tmp_path / "reference")
    path = copy / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    torch.save(content | {"trainer_name": "nnUNetTrainer"}, path)
    return copy


def test_one_organ_of_24_is_exported_with_the_labels_of_nnunet_itself(tmp_path):
    series = factories.ct_series(tmp_path / "series", structured(), spacing=(1.6, 1.7, 3.0))
    model = fetch(tmp_path, "totalsegmentator-liver")
    out = tmp_path / "out"

    assert nativedl("run", "--input", tmp_path / "series", "--output", out, "--device", "cpu") == 0

    report = json.loads((out / "report.json").read_text())
    assert report["model"]["id"] == model.id
    assert [row["name"] for row in report["segments"]] == ["Liver"]
    found = sitk.GetArrayFromImage(sitk.ReadImage(out / "segmentation.nii.gz"))
    assert set(np.unique(found)) == {0, 1}
    image, _ = Series.read(series).image()
    turned = sitk.DICOMOrient(image, "RAS")
    labels = nnunet_folder.reference_labels(of_plain_trainer(verified_weights(model)[0], tmp_path), turned, (0,))
    expected = sitk.GetImageFromArray(labels.astype(np.uint8))
    expected.CopyInformation(turned)
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(expected, "LPS"))
    liver = expected == 5
    assert len(np.unique(expected)) > 5
    assert liver.sum() > 100
    assert np.mean(liver == (found == 1)) >= 0.999
    # Of fewer than 200 voxels, each a matter of the last digits of random weights.
    assert np.mean(found[liver] == 1) >= 0.98


@pytest.mark.parametrize(
    ("model_id", "patch"), [("totalsegmentator-vertebrae", (128, 128, 128)), ("totalsegmentator-3mm", (112, 112, 128))]
)
def test_each_public_folder_becomes_a_network_of_its_plans(tmp_path, model_id, patch):
    model = fetch(tmp_path, model_id)

    path, _ = verified_weights(model)
    engine = load_engine(model, Weights(model), "cpu")

    assert engine.patch_size == model.input.patch_size == patch
    assert engine.mirror_axes == ()
    assert load_checkpoint(Weights(model).read("fold_0/checkpoint_final.pth"), path).configuration == "3d_fullres"


def test_plans_that_name_their_architecture_are_taken_as_well(tmp_path):
    assert verified_weights(fetch(tmp_path, "totalsegmentator-vertebrae", architecture=True))
