"""The weights of a registry model, for a training to start from."""

from pathlib import Path

import torch
from torch import Tensor

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.network import require
from NativeDLLib.inference.nnunet_checkpoint import find_folds, load_checkpoint
from NativeDLLib.inference.onnx_runtime import check_alone
from NativeDLLib.inference.pt2_archive import Pt2Archive
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights
from NativeDLLib.training.unet import canonical


def start_weights(model: Model) -> tuple[dict[str, Tensor], str]:
    """Weights of a model under canonical names, and their digest.

    ModelError where they do not keep the names of layers.
    """
    weights = Weights(model)
    if model.architecture is not None:
        raise ModelError(f"model {model.id}: its network is described as JSON; training starts from a PlainConvUNet")
    try:
        if model.runtime == "nnunetv2":
            found = _of_folder(model, weights)
        elif model.runtime == "onnx":
            found = _of_onnx(weights.read(), weights.path)
        else:
            found = Pt2Archive(weights.read(), weights.path).weights
    except ModelError:
        raise
    # What a damaged file makes of its reader ranges from KeyError to protobuf's and pickle's own errors.
    except Exception as error:
        raise ModelError(f"{weights.path}: its weights cannot be read: {str(error)[:200]}") from error
    return canonical(found), weights.digest


def _of_folder(model: Model, weights: Weights) -> dict[str, Tensor]:
    # Of an ensemble the first is as good a start as any other.
    path = find_folds(weights.path, model.weights.folds, model.weights.checkpoint)[0]
    return load_checkpoint(weights.read(f"{path.parent.name}/{path.name}"), path).weights


def _of_onnx(content: bytes, path: Path) -> dict[str, Tensor]:
    onnx = require("onnx", "train")
    check_alone(content, path)
    model = onnx.load_model_from_string(content)
    return {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer
    }
