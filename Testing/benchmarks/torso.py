"""A real CT of a torso at 3 mm with 25 labels on the CPU, beside nnU-Net: image file to label map."""

from __future__ import annotations

from benchmarks import inputs
from benchmarks.compare import Result, Setting
from benchmarks.networks import SMALL, TINY, weights
from benchmarks.segmenting import Source, beside_nnunet


def run(setting: Setting) -> Result:
    """Run the benchmark."""
    nifti = inputs.torso(setting)
    model = weights(setting, *((TINY, 5) if setting.quick else (SMALL, 25)))
    source = Source(["--image", next(nifti.iterdir())], nifti)
    return beside_nnunet("torso", "torso at 3 mm", source, model, setting, "cpu")
