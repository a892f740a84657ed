"""A trained network as files that runtimes load without this package, and as nnU-Net's results folder.

nnU-Net knows no orientation: its axes are those of the file. It gives the labels of this library for images stored in
the orientation of the registry entry.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import atomic_path, write_json
from NativeDLLib.inference.onnx_runtime import load_onnx
from NativeDLLib.inference.torch_runtime import load_torch
from NativeDLLib.training.config import Config
from NativeDLLib.training.unet import CLASS_NAME, TYPES, Architecture

FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
FILES = ("dataset.json", "plans.json", "fold_0/checkpoint_final.pth")
_CONFIGURATION = "3d_fullres"


def write_results_folder(
    network: nn.Module, architecture: Architecture, config: Config, cases: int, folder: Path
) -> None:
    """Write ``dataset.json``, ``plans.json`` and the checkpoint of one fold for a network on the CPU. Clip, mean and
    std of the training become nnU-Net's statistics of the foreground; `cases` is the number of cases.
    """
    plans = _plans(architecture, config)
    labels = {"background": 0, **{name: number for number, name in config.classes.items()}}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": cases, "file_ending": ".nii.gz"}
    write_json(folder / "dataset.json", dataset)
    write_json(folder / "plans.json", plans)
    checkpoint = {
        "network_weights": {name: value.contiguous() for name, value in network.state_dict().items()},
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": _CONFIGURATION, "fold": 0, "plans": plans, "dataset_json": dataset},
        "inference_allowed_mirroring_axes": (2,) if config.mirror else None,
        "current_epoch": 1,
    }
    with atomic_path(folder / "fold_0" / "checkpoint_final.pth") as temporary:
        torch.save(checkpoint, temporary)


def _plans(architecture: Architecture, config: Config) -> dict[str, Any]:
    assert config.model.input.spacing is not None
    spacing, patch = list(config.model.input.spacing), list(config.patch)
    low, high = config.clip
    # nnU-Net clips to these percentiles, then subtracts this mean and divides by this deviation.
    statistics = {"percentile_00_5": low, "percentile_99_5": high, **config.constants}
    statistics |= {"min": low, "max": high, "median": config.constants["mean"]}
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": config.model.id,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
        "configurations": {
            _CONFIGURATION: {
                "data_identifier": f"nnUNetPlans_{_CONFIGURATION}",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": config.schedule.batch,
                "patch_size": patch,
                "median_image_size_in_voxels": [float(n) for n in patch],
                "spacing": spacing,
                "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [False],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": resampling,
                "resampling_fn_seg_kwargs": resampling | {"is_seg": True},
                "resampling_fn_probabilities_kwargs": resampling,
                "architecture": {
                    "network_class_name": CLASS_NAME,
                    "arch_kwargs": architecture.arguments | TYPES,
                    "_kw_requires_import": list(TYPES),
                },
                "batch_dice": True,
            }
        },
    }


SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
LARGEST_DIFFERENCE = 1e-4
"""Between the logits of two formats."""


def export(network: nn.Module, patch: tuple[int, int, int], path: Path) -> float:
    """Write a PlainConvUNet as ONNX or as a ``torch.export`` archive, by the suffix of `path`. The batch size is free,
    the patch size fixed. Input ``image`` (N, 1, z, y, x) float32, output ``logits`` (N, classes, z, y, x) of the finest
    resolution. Returns the largest difference between the logits of file and network; ModelError where it is too large.
    """
    network = network.eval()
    network.decoder.deep_supervision = False
    example = torch.zeros(2, 1, *patch)
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    with atomic_path(path) as temporary:
        if path.suffix == ".onnx":
            names = {"input_names": ["image"], "output_names": ["logits"]}
            torch.onnx.export(program, f=str(temporary), external_data=False, verbose=False, **names)
        else:
            program._example_inputs = None  # only these would be pickled into the archive
            with temporary.open("wb") as stream:  # a path would become part of the archive and of its digest
                torch.export.save(program, stream)
    image = torch.randn(1, 1, *patch, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(image).numpy()
    load = load_onnx if path.suffix == ".onnx" else load_torch
    written = load(path.read_bytes(), path, "cpu", expected.shape[1]).network
    difference = float(np.abs(written(image.numpy()) - expected).max())
    if not difference <= LARGEST_DIFFERENCE:
        message = f"{path}: differs from the trained network by {difference:.2g}; try another torch, onnxruntime"
        raise ModelError(message)
    return difference
