"""Results folders that nobody should add: nothing of theirs runs, fills the memory or stays."""

import numpy as np
import own_models
import pytest
from own_models import refusal

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.add.install import user_registry

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
import nnunet_folder  # noqa: E402  (imports nnunetv2)

ANSWERS = own_models.TWO_LABELS
NAME = "nnUNetTrainer__nnUNetPlans__3d_fullres"


def test_a_checkpoint_with_a_pickle_is_refused_and_never_runs(tmp_path):
    folder, marker = nnunet_folder.write(tmp_path / NAME), tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"network_weights": Payload()}, folder / "fold_0" / "checkpoint_final.pth")

    assert "more than tensors and plain values" in refusal(ModelError, folder)
    assert not marker.exists()


def test_arrays_of_numpy_in_a_training_log_are_no_pickle_that_runs(tmp_path):
    folder = nnunet_folder.write(tmp_path / NAME)
    path = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    content["logging"] = {"dice": [np.float32(0.5)], "loss": np.linspace(1, 0, 4), "seen": np.array([[True], [False]])}
    torch.save(content, path)

    assert own_models.add_model(folder, ANSWERS).id


class _Huge:
    def __reduce__(self):
        return (np.zeros(1).__reduce__()[0], (np.ndarray, (2**50,), b"d"))


class _Payload:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (open, (self.marker, "w"))


@pytest.mark.parametrize("kind", ["a claimed size", "a pickle in an array"])
def test_an_array_that_is_more_than_numbers_is_refused(tmp_path, kind):
    folder = nnunet_folder.write(tmp_path / NAME)
    path, marker = folder / "fold_0" / "checkpoint_final.pth", tmp_path / "ran"
    content = torch.load(path, weights_only=False)
    content["logging"] = _Huge() if kind == "a claimed size" else np.array([_Payload(marker)], dtype=object)
    torch.save(content, path)

    assert str(path) in refusal(ModelError, folder)
    assert not marker.exists()


def test_a_later_fold_with_a_pickle_is_refused_and_leaves_nothing(tmp_path):
    folder, marker = nnunet_folder.write(tmp_path / NAME, folds=(0, 1)), tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"network_weights": Payload()}, folder / "fold_1" / "checkpoint_final.pth")

    with pytest.raises(ModelError, match="more than tensors and plain values"):
        own_models.add_model(folder, ANSWERS)
    assert not marker.exists()
    assert not list(user_registry().parent.rglob("*"))


def configuration(plans):
    return plans["configurations"]["3d_fullres"]


def architecture(plans):
    return configuration(plans)["architecture"]["arch_kwargs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: architecture(p).update(features_per_stage=[4096, 4096, 4096]),
        lambda p: configuration(p).update(patch_size=[10**6] * 3),
        lambda p: configuration(p).update(patch_size=[10**300] * 3),
        lambda p: configuration(p).update(spacing=[1e-30, 1, 1]),
        lambda p: configuration(p).update(spacing=["1", "1", "1"]),
        lambda p: configuration(p).update(inherits_from="3d_fullres"),
        lambda p: configuration(p).update(normalization_schemes=[]),
        lambda p: p.update(transpose_backward=[0, 1, 9]),
        lambda p: p.update(configurations=[]),
        lambda p: architecture(p).update(features_per_stage=[60000, 60000, 60000]),
        lambda p: architecture(p).update(n_conv_per_stage=[10**9, 1, 1]),
        lambda p: architecture(p).update(n_stages=10**12),
        lambda p: architecture(p).update(kernel_sizes=[[10**5] * 3] * 3),
    ],
)
def test_plans_with_absurd_values_are_refused_and_leave_nothing(tmp_path, change):
    folder = nnunet_folder.write(tmp_path / NAME, change_plans=change)

    with pytest.raises(ModelError):
        own_models.add_model(folder, ANSWERS)
    assert not list(user_registry().parent.rglob("*"))


@pytest.mark.parametrize("value", [1, True, "CT", ["CT"], {"0": ["CT"]}, {"0": "CT", "1": "PET"}, {}, None])
def test_channels_of_another_kind_are_refused(tmp_path, value):
    folder = nnunet_folder.write(tmp_path / NAME, change_dataset=lambda d: d.update(channel_names=value))

    assert str(folder) in refusal(ModelError, folder)


@pytest.mark.parametrize("name", ["li\x1b[31mver", "a\\b", "two\nlines", "x" * 65, ""])
def test_names_that_a_segment_cannot_have_are_refused_without_being_shown(tmp_path, name):
    folder = nnunet_folder.write(tmp_path / NAME, change_dataset=lambda d: d["labels"].update({name: 3}))

    message = refusal(ModelError, folder)
    assert "dataset.json: labels" in message
    assert "\x1b" not in message


def test_files_that_are_not_utf8_are_refused(tmp_path):
    folder = nnunet_folder.write(tmp_path / NAME)
    (folder / "dataset.json").write_bytes(b'{"labels": {"\xff": 1}}')

    assert "dataset.json: is not UTF-8 text" in refusal(ModelError, folder)


def test_a_file_that_is_a_device_is_not_read(tmp_path):
    folder = nnunet_folder.write(tmp_path / NAME)
    (folder / "dataset.json").unlink()
    (folder / "dataset.json").symlink_to("/dev/zero")

    assert "dataset.json: is not there" in refusal(ModelError, folder)
