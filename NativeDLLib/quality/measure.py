"""Volume and intensity of each segment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.threads import in_threads
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source.source import Source


def measure(source: Source, image: sitk.Image, labels: sitk.Image, segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """Measure the segments of a label map of Segment Numbers on the grid of `image`: for each its number, name, voxels,
    volume in mL, and mean value (None where there is no voxel): in CT ``mean_hu``, else ``mean_value``.
    """
    unit = "hu" if source.text("Modality") == "CT" else "value"
    numbers, values = sitk.GetArrayViewFromImage(labels), sitk.GetArrayViewFromImage(image)

    def of_plane(z: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        found = np.flatnonzero(numbers[z])
        where = numbers[z].ravel()[found].astype(np.intp)
        sums = np.bincount(where, weights=values[z].ravel()[found], minlength=len(segments) + 1)
        return np.bincount(where, minlength=len(segments) + 1), sums

    # What one plane needs stays in the processor's cache.
    planes = in_threads(of_plane, range(len(numbers)))
    counts, sums = (np.sum(parts, axis=0) for parts in zip(*planes, strict=True))
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000
    return [
        {
            "number": segment.number,
            "name": segment.name,
            "voxels": int(counts[segment.number]),
            "volume_ml": round(float(counts[segment.number]) * voxel_ml, 3),
            f"mean_{unit}": round(float(sums[segment.number] / counts[segment.number]), 2)
            if counts[segment.number]
            else None,
        }
        for segment in segments
    ]
