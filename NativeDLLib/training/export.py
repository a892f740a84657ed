"""Write a trained network as a file that a runtime loads without this package and without unpickling anything."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from NativeDLLib.files import atomic_path
from NativeDLLib.training.task import Task


def export(network: nn.Module, task: Task, folder: Path) -> Path:
    """Write the model of `task`: ONNX or a ``torch.export`` archive, by the suffix of its file name.

    The batch size is free, the patch size fixed. Input ``image`` (N, 1, z, y, x) float32, output ``logits``
    (N, 2, z, y, x).
    """
    path = folder / task.file_name
    example = torch.zeros(2, 1, *task.patch)
    batch = torch.export.Dim("batch", min=1, max=64)
    network = network.eval()
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes={"image": {0: batch}})
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
    return path
