"""A results folder with the network, plans and checkpoint of nnU-Net v2.0 that TotalSegmentator's folders have.

Only the weights are random. The plans are of the kind from before nnU-Net wrote a network's architecture into them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nnunet_folder
import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

_RESAMPLING = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}


_KERNELS = [[3, 3, 3]] * 6


def write(folder: Path, names: Sequence[str], spacing: float, trainer: str, *, architecture: bool = False) -> Path:
    """Write the folder.

    Parameters
    ----------
    names
        Of the labels, from 1.
    spacing
        In mm; at 3 mm the patch is flatter and the network coarser along one axis alone, as that of the 3 mm folder is.
    trainer
        Name of the class that trained it.
    architecture
        Whether the plans name the architecture, as those of today do.
    """
    plans = _plans(spacing, architecture)
    strides = plans["configurations"]["3d_fullres"]["pool_op_kernel_sizes"]
    dataset = {
        "name": "TotalSegmentator",
        "description": "Segmentation of TotalSegmentator classes",
        "reference": "https://zenodo.org/record/6802614",
        "licence": "Apache 2.0",
        "release": "2.0",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0} | {name: number for number, name in enumerate(names, 1)},
        "numTraining": 1559,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans, indent=4))
    (folder / "dataset.json").write_text(json.dumps(dataset, indent=4))
    (folder / "dataset_fingerprint.json").write_text("{}")
    network = _network(len(names) + 1, strides)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, weight_decay=3e-5, momentum=0.99, nesterov=True)
    state = optimizer.state_dict()
    # The momenta of a real one are as large as the weights; here they are the weights once more.
    state["state"] = {i: {"momentum_buffer": p.data} for i, p in enumerate(network.parameters())}
    checkpoint = {
        "network_weights": network.state_dict(),
        "optimizer_state": state,
        "grad_scaler_state": {"scale": 65536.0, "growth_factor": 2.0, "growth_interval": 2000, "_growth_tracker": 0},
        "logging": {
            "mean_fg_dice": [np.float64(0.9)],
            "ema_fg_dice": [np.float64(0.9)],
            "dice_per_class_or_region": [[np.float64(0.9), np.float32(0.8)]],
            "train_losses": [np.float32(-0.8)],
            "val_losses": [np.float32(-0.8)],
            "lrs": [0.01],
            "epoch_start_timestamps": [1.0],
            "epoch_end_timestamps": [2.0],
        },
        "_best_ema": np.float64(0.9),
        "current_epoch": 4000,
        "init_args": {
            "plans": plans,
            "configuration": "3d_fullres",
            "fold": 0,
            "dataset_json": dataset,
            "unpack_dataset": True,
            "device": torch.device("cuda"),
        },
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, folder / "fold_0" / "new.pth")
    _as_of_numpy_1(folder / "fold_0" / "new.pth", folder / "fold_0" / "checkpoint_final.pth")
    return folder


def pack(folder: Path, archive: Path) -> Path:
    """Pack a folder as the authors do: zipped with its own name on top, and members for the folders."""
    with zipfile.ZipFile(archive, "w") as target:
        for path in [folder, *sorted(folder.rglob("*"))]:
            target.write(path, path.relative_to(folder.parent))
    return archive


def _as_of_numpy_1(path: Path, older: Path) -> None:
    """Let a checkpoint name NumPy's scalars as NumPy 1 did, with which the public ones were written."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(older, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("/data.pkl"):
                assert b"numpy._core" in content
                content = content.replace(b"numpy._core", b"numpy.core")
            target.writestr(member.filename, content)
    path.unlink()


def _network(classes: int, strides: list[list[int]]) -> Any:
    torch.manual_seed(1)
    network = PlainConvUNet(
        input_channels=1,
        n_stages=6,
        features_per_stage=[32, 64, 128, 256, 320, 320],
        conv_op=nn.Conv3d,
        kernel_sizes=_KERNELS,
        strides=strides,
        n_conv_per_stage=[2] * 6,
        num_classes=classes,
        n_conv_per_stage_decoder=[2] * 5,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )
    with torch.no_grad():
        # So that the label that is looked at is among those found.
        network.decoder.seg_layers[-1].bias[5] += 0.3
    return network


def _plans(spacing: float, architecture: bool) -> dict[str, Any]:
    statistics = {
        "max": 1500.0, "mean": 40.0, "median": 30.0, "min": -1000.0, "percentile_00_5": -900.0,
        "percentile_99_5": 1200.0, "std": 300.0,
    }  # fmt: skip
    is_flat = spacing == 3
    strides = [[1, 1, 1], *[[2, 2, 2]] * 4, [1, 1, 2] if is_flat else [2, 2, 2]]
    configuration: dict[str, Any] = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [112, 112, 128] if is_flat else [128, 128, 128],
        "median_image_size_in_voxels": [231.0, 231.0, 240.0],
        "spacing": [spacing] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 32,
        "n_conv_per_stage_encoder": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
        "num_pool_per_axis": [4, 4, 5] if is_flat else [5, 5, 5],
        "pool_op_kernel_sizes": strides,
        "conv_kernel_sizes": _KERNELS,
        "unet_max_num_features": 320,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": _RESAMPLING,
        "resampling_fn_seg_kwargs": _RESAMPLING | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": _RESAMPLING | {"order": 1},
        "batch_dice": False,
    }
    if architecture:
        features = (32, 64, 128, 256, 320, 320)
        configuration["architecture"] = nnunet_folder.plain_unet(features, strides, _KERNELS)
    return {
        "dataset_name": "Dataset000_Random",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [spacing] * 3,
        "original_median_shape_after_transp": [231, 231, 240],
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            # They hold more configurations than the one that was trained.
            "3d_lowres": {"spacing": [2 * spacing] * 3, "inherits_from": "3d_fullres"},
            "3d_fullres": configuration,
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
    }
