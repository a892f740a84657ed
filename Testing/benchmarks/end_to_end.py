"""A whole CT of 512 x 512 x 300 with 25 labels on the CPU: DICOM to SEG, beside nnU-Net from NIfTI to NIfTI."""

from __future__ import annotations

from benchmarks.compare import Result, Setting
from benchmarks.inputs import phantom
from benchmarks.networks import SMALL, TINY, weights
from benchmarks.segmenting import Source, beside_nnunet


def run(setting: Setting) -> Result:
    """Run the benchmark."""
    slices = 40 if setting.quick else 300
    case = phantom(setting, slices)
    model = weights(setting, *((TINY, 5) if setting.quick else (SMALL, 25)))
    source = Source(["--input", case.dicom], case.nifti)
    return beside_nnunet("end_to_end", f"{slices} slices", source, model, setting, "cpu")
