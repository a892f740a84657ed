"""The weights of a registry model, for a training to start from."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.network import require
from NativeDLLib.inference.nnunet_checkpoint import find_folds, load_checkpoint
from NativeDLLib.inference.torch_guard import check_pt2, is_pt2
from NativeDLLib.inference.torch_runtime import weights_only
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import verified_weights
from NativeDLLib.training.unet import canonical


def start_weights(model: Model) -> tuple[dict[str, Tensor], str]:
    """Weights of a model under canonical names, and their digest; ModelError where they do not keep the names of
    layers.
    """
    path, digest = verified_weights(model)
    if model.architecture is not None:
        raise ModelError(f"model {model.id}: its network is described as JSON; training starts from a PlainConvUNet")
    try:
        if model.runtime == "nnunetv2":
            weights = _of_folder(model, path)
        else:
            weights = _of_onnx(path) if model.runtime == "onnx" else _of_pt2(path)
    except ModelError:
        raise
    # What a damaged file makes of its reader ranges from KeyError to protobuf's and pickle's own errors.
    except Exception as error:
        raise ModelError(f"{path}: its weights cannot be read: {str(error)[:200]}") from error
    return canonical(weights), digest


def _of_folder(model: Model, folder: Path) -> dict[str, Tensor]:
    name = model.weights.get("checkpoint", "checkpoint_final.pth")
    # Of an ensemble the first is as good a start as any other.
    return load_checkpoint(find_folds(folder, model.weights.get("folds"), name)[0]).weights


def _of_pt2(path: Path) -> dict[str, Tensor]:
    if not is_pt2(path):
        raise ModelError(f"{path}: is TorchScript; training starts from a .pt2, an ONNX file or an nnU-Net folder")
    check_pt2(path)
    with weights_only(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(torch.export.load(path).state_dict)


def _of_onnx(path: Path) -> dict[str, Tensor]:
    onnx = require("onnx", "train")
    # From bytes, so that nothing beside the file is read.
    model = onnx.load_model_from_string(path.read_bytes())
    return {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer
    }
