"""A network as large as TotalSegmentator's, with 117 labels, on a GPU: DICOM to SEG, beside nnU-Net."""

from __future__ import annotations

import torch

from benchmarks.compare import MissingError, Result, Setting
from benchmarks.inputs import phantom
from benchmarks.networks import FULL, TINY, weights
from benchmarks.segmenting import Source, beside_nnunet


def run(setting: Setting) -> Result:
    """Run the benchmark.

    Raises
    ------
    MissingError
        Where torch sees no CUDA GPU.
    """
    if not torch.cuda.is_available():
        raise MissingError(f"torch {torch.__version__} sees no CUDA GPU here")
    slices = 40 if setting.quick else 300
    case = phantom(setting, slices)
    model = weights(setting, TINY if setting.quick else FULL, 117)
    source = Source(["--input", case.dicom], case.nifti)
    return beside_nnunet("gpu", f"{slices} slices", source, model, setting, "cuda")
