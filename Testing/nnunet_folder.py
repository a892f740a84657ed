"""nnU-Net results folders with random weights, as its trainer writes them, and nnU-Net's own answer for them."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

_STATISTICS = {
    "max": 1500.0,
    "mean": 40.0,
    "median": 30.0,
    "min": -1000.0,
    "percentile_00_5": -900.0,
    "percentile_99_5": 1200.0,
    "std": 300.0,
}


def write(
    folder: Path,
    *,
    configuration: str = "3d_fullres",
    folds: Sequence[int] = (0,),
    trainer: str = "nnUNetTrainer",
    reader: str = "SimpleITKIO",
    mirror_axes: tuple[int, ...] | None = (0, 1),
    change_plans: Callable[[dict[str, Any]], object] = lambda _: None,
    change_dataset: Callable[[dict[str, Any]], object] = lambda _: None,
    classes: int = 3,
) -> Path:
    """Write a results folder of a small random network of so many outputs."""
    flat = configuration == "2d"
    settings = _architecture(flat)
    plans = {
        "dataset_name": "Dataset901_Random",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [2.5, 0.8, 0.9],
        "original_median_shape_after_transp": [22, 44, 40],
        "image_reader_writer": reader,
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": _STATISTICS},
        "configurations": {configuration: _configuration(flat, settings)},
    }
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "other": 2},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    written = copy.deepcopy(plans)
    change_plans(written)
    change_dataset(dataset)
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(written))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    for fold in folds:
        torch.manual_seed(fold)
        network = get_network_from_plans(
            settings["network_class_name"],
            settings["arch_kwargs"],
            settings["_kw_requires_import"],
            1,
            classes,
            allow_init=True,
            deep_supervision=True,
        )
        (folder / f"fold_{fold}").mkdir()
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "epoch_end_timestamps": [1.0], "lrs": [np.float32(0.01)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1,
            "init_args": {"configuration": configuration, "fold": fold, "plans": plans, "dataset_json": dataset},
            "trainer_name": trainer,
            "inference_allowed_mirroring_axes": mirror_axes,
        }
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def reference_labels(folder: Path, image: sitk.Image, folds: Sequence[int]) -> Any:
    """Return the labels (z, y, x) of nnU-Net's own predictor for an image."""
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    with contextlib.redirect_stdout(io.StringIO()):
        predictor.initialize_from_trained_model_folder(str(folder), use_folds=tuple(folds))
        data = sitk.GetArrayFromImage(image)[None].astype(np.float32)
        properties = {"spacing": list(image.GetSpacing()[::-1])}
        return predictor.predict_single_npy_array(data, properties, None, None, False)


def plain_unet(
    features: Sequence[int], strides: Any, kernels: Any, *, convolutions: int = 2, dimension: str = "3d"
) -> dict[str, Any]:
    """Return a PlainConvUNet as plans describe it: channels, strides and kernels by stage."""
    stages = len(features)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": f"torch.nn.modules.conv.Conv{dimension}",
            "kernel_sizes": kernels,
            "strides": strides,
            "n_conv_per_stage": [convolutions] * stages,
            "n_conv_per_stage_decoder": [convolutions] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimension}",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _architecture(flat: bool) -> dict[str, Any]:
    ones, twos, threes = ([[n] * (2 if flat else 3)] for n in (1, 2, 3))
    dimension = "2d" if flat else "3d"
    return plain_unet((4, 8, 16), ones + twos * 2, threes * 3, convolutions=1, dimension=dimension)


def _configuration(flat: bool, settings: dict[str, Any]) -> dict[str, Any]:
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": "nnUNetPlans_x",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [32, 32] if flat else [16, 24, 24],
        "median_image_size_in_voxels": [44.0, 40.0] if flat else [22.0, 44.0, 40.0],
        "spacing": [1.1, 1.1] if flat else [2.0, 1.1, 1.1],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": resampling | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling | {"order": 1},
        "architecture": settings,
        "batch_dice": True,
    }
