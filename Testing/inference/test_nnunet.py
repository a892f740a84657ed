"""Parity with nnU-Net itself, on results folders as its own trainer writes them."""

import factories
import numpy as np
import pytest
import SimpleITK as sitk

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.engine import load_engine
from NativeDLLib.inference.sliding_window import WindowSettings, sliding_window
from NativeDLLib.registry.load import make_model
from NativeDLLib.registry.weights import Weights
from NativeDLLib.source import Series

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
import nnunet_folder  # noqa: E402  (imports nnunetv2)

pytestmark = pytest.mark.slow


def model_of(folder, trainer=None, **weights):
    entry = factories.entry(
        runtime="nnunetv2",
        weights={"folder": folder.name} | weights,
        input={"modality": "CT", "channels": [{"name": "CT"}]},
        sliding_window={},
        postprocessing=[],
        parameters=[],
    )
    entry["output"].pop("channels")
    if trainer:
        entry["trainer"] = trainer
    return make_model(entry, folder.parent / "registry.json")


def engine_of(model, device):
    return load_engine(model, Weights(model), device)


def our_labels(folder, image, device="cpu", **weights):
    engine = engine_of(model_of(folder, **weights), device)
    prepared = engine.prepare(image)
    settings = WindowSettings(
        engine.patch_size, mirror_axes=engine.mirror_axes, half=engine.half, features=engine.head is not None
    )
    return engine.restore(sliding_window(prepared, engine.networks, settings, Progress()), prepared)


def structured(size=(40, 44, 22)):
    """A smooth random image, so that a random network has something to disagree about."""
    rng = np.random.default_rng(5)
    image = sitk.GetImageFromArray(rng.normal(0, 1, size[::-1]).astype(np.float32))
    image = sitk.Cast(sitk.SmoothingRecursiveGaussian(image, 1.5) * 2000, sitk.sitkInt16)
    return sitk.GetArrayFromImage(image)


@pytest.fixture
def series(tmp_path):
    files = factories.ct_series(tmp_path / "series", structured(), spacing=(0.9, 0.8, 2.5))
    return Series.read(files)


@pytest.mark.parametrize("configuration", ["3d_fullres", "2d"])
@pytest.mark.parametrize("folds", [(0,), (0, 1)])
def test_labels_are_those_of_nnunet_itself(tmp_path, series, configuration, folds):
    folder = nnunet_folder.write(tmp_path / "results", configuration=configuration, folds=folds)
    image, _ = series.image()

    expected = nnunet_folder.reference_labels(folder, image, folds)
    labels = our_labels(folder, image)

    assert len(np.unique(expected)) > 1
    assert np.mean(labels == expected) >= 0.999


@pytest.mark.parametrize("folds", [(0,), (0, 1)])
def test_labels_of_more_classes_than_features_are_those_of_nnunet(tmp_path, series, folds):
    names = {"background": 0, "liver": 1} | {f"organ {number}": number for number in range(2, 40)}
    folder = nnunet_folder.write(
        tmp_path / "results", folds=folds, classes=40, change_dataset=lambda d: d.update(labels=names)
    )
    image, _ = series.image()

    expected = nnunet_folder.reference_labels(folder, image, folds)
    labels = our_labels(folder, image)

    assert engine_of(model_of(folder), "cpu").head.weights.shape[0] == 40
    assert len(np.unique(expected)) > 10
    assert np.mean(labels == expected) >= 0.995  # nnU-Net rounds logits to half precision


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["configurations"]["3d_fullres"].update(use_mask_for_norm=[True]),
        lambda p: p["configurations"]["3d_fullres"].update(normalization_schemes=["ZScoreNormalization"]),
        lambda p: p["configurations"]["3d_fullres"].update(spacing=[1.2, 1.2, 1.2]),
        lambda p: p.update(transpose_forward=[2, 0, 1], transpose_backward=[1, 2, 0]),
    ],
    ids=["mask", "z-score", "isotropic", "transposed"],
)
def test_other_plans_give_nnunets_labels_too(tmp_path, series, change):
    folder = nnunet_folder.write(tmp_path / "results", change_plans=change)
    image, _ = series.image()

    expected = nnunet_folder.reference_labels(folder, image, (0,))
    assert np.mean(our_labels(folder, image) == expected) >= 0.999


def test_a_reader_that_reorients_is_followed(tmp_path, series):
    folder = nnunet_folder.write(tmp_path / "results", reader="NibabelIOWithReorient")
    image, _ = series.image()

    labels = our_labels(folder, image)

    oriented = sitk.DICOMOrient(image, "RAS")
    turned = sitk.GetImageFromArray(nnunet_folder.reference_labels(folder, oriented, (0,)).astype(np.uint8))
    turned.CopyInformation(oriented)
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(turned, "LPS"))
    assert np.mean(labels == expected) >= 0.999


def test_a_trainer_that_nobody_has_is_not_needed_once_it_is_confirmed(tmp_path, series):
    trainer = "nnUNetTrainer_of_somebody_else"
    folder = nnunet_folder.write(tmp_path / "results", trainer=trainer, mirror_axes=None)

    with pytest.raises(ModelError, match="may have changed the network"):
        our_labels(folder, series.image()[0])
    labels = our_labels(folder, series.image()[0], trainer=trainer)

    assert labels.shape == (22, 44, 40)


def test_a_checkpoint_with_a_pickle_is_not_executed(tmp_path):
    folder = nnunet_folder.write(tmp_path / "results")
    marker = tmp_path / "executed"

    class Exploit:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"network_weights": Exploit()}, folder / "fold_0" / "checkpoint_final.pth")

    with pytest.raises(ModelError, match="more than tensors and plain values"):
        engine_of(model_of(folder), "cpu")
    assert not marker.exists()


def _architecture(plans):
    return plans["configurations"]["3d_fullres"]["architecture"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: _architecture(p).update(network_class_name="os.system"), "not imported"),
        (lambda p: _architecture(p)["arch_kwargs"].update(conv_op="subprocess.Popen"), "not imported"),
        (lambda p: p.pop("configurations"), "'configurations' is missing"),
        (lambda p: p["configurations"]["3d_fullres"].update(previous_stage="3d_lowres"), "cascade"),
        (lambda p: _architecture(p)["arch_kwargs"].update(features_per_stage=[2, 3]), "cannot be run"),
    ],
)
def test_plans_that_cannot_be_trusted_or_run_are_refused(tmp_path, change, message):
    folder = nnunet_folder.write(tmp_path / "results", change_plans=change)

    with pytest.raises(ModelError, match=message):
        engine_of(model_of(folder), "cpu")


def test_more_than_one_channel_is_refused(tmp_path):
    folder = nnunet_folder.write(
        tmp_path / "results", change_dataset=lambda d: d.update(channel_names={"0": "CT", "1": "PET"})
    )

    with pytest.raises(ModelError, match="takes 2 channels"):
        engine_of(model_of(folder), "cpu")


def test_a_label_that_the_folder_does_not_have_is_named(tmp_path):
    folder = nnunet_folder.write(tmp_path / "results")
    model = model_of(folder)
    entry = dict(model.data)
    entry["output"] = {"segments": [entry["output"]["segments"][0] | {"label": 9}]}

    with pytest.raises(ModelError, match="no label for Liver"):
        engine_of(make_model(entry, model.registry), "cpu")


def test_missing_folds_and_foreign_checkpoints_are_named(tmp_path):
    folder = nnunet_folder.write(tmp_path / "results")

    with pytest.raises(ModelError, match="fold_4"):
        engine_of(model_of(folder, folds=[4]), "cpu")
    with pytest.raises(ModelError, match="checkpoint_best"):
        engine_of(model_of(folder, checkpoint="checkpoint_best.pth"), "cpu")
    torch.save({"weights": torch.zeros(1)}, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelError, match="not a checkpoint of nnU-Net"):
        engine_of(model_of(folder), "cpu")


def test_a_checkpoint_in_half_precision_runs_as_well(tmp_path, series):
    folder = nnunet_folder.write(tmp_path / "results")
    path = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    content["network_weights"] = {key: value.half() for key, value in content["network_weights"].items()}
    torch.save(content, path)

    labels = our_labels(folder, series.image()[0])

    assert np.mean(labels == nnunet_folder.reference_labels(folder, series.image()[0], (0,))) >= 0.999
