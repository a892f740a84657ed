"""A trained network as a file that a runtime loads without this package and without unpickling."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import atomic_path
from NativeDLLib.inference.onnx_runtime import load_onnx
from NativeDLLib.inference.torch_runtime import load_torch

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
LARGEST_DIFFERENCE = 1e-4
"""Between the logits of two formats."""


def export(network: nn.Module, patch: tuple[int, int, int], path: Path) -> float:
    """Write a PlainConvUNet as ONNX or as a ``torch.export`` archive, by the suffix of `path`.

    The batch size is free, the patch size fixed. Input ``image`` (N, 1, z, y, x) float32, output ``logits`` (N,
    classes, z, y, x) of the finest resolution. Returns the largest difference between the logits of file and network;
    ModelError where it is too large.
    """
    network = network.eval()
    network.decoder.deep_supervision = False
    example = torch.zeros(2, 1, *patch)
    batch = torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    with atomic_path(path) as temporary:
        if path.suffix == ".onnx":
            torch.onnx.export(
                program,
                f=str(temporary),
                input_names=["image"],
                output_names=["logits"],
                external_data=False,
                verbose=False,
            )
        else:
            program._example_inputs = None  # only these would be pickled into the archive
            with temporary.open("wb") as stream:  # a path would become part of the archive and of its digest
                torch.export.save(program, stream)
    return _difference(network, patch, path)


def _difference(network: nn.Module, patch: tuple[int, int, int], path: Path) -> float:
    image = torch.randn(1, 1, *patch, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(image).numpy()
    load = load_onnx if path.suffix == ".onnx" else load_torch
    written = load(path.read_bytes(), path, "cpu", expected.shape[1]).network
    difference = float(np.abs(written(image.numpy()) - expected).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelError(
            f"{path}: differs from the trained network by {difference:.2g}; use another torch or onnxruntime"
        )
    return difference
