"""Volume and intensity of each segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.registry.entry import Segment


def measure(image: sitk.Image, labels: sitk.Image, segments: Sequence[Segment], unit: str) -> list[dict[str, Any]]:
    """Measure the segments of a label map.

    Parameters
    ----------
    image
        Values, on the same grid as `labels`.
    labels
        Segment Numbers.
    segments
        All that were looked for.
    unit
        Of the values, such as ``hu``; it ends the name of the mean.

    Returns
    -------
    list of dict
        For each segment its number, name, voxels, volume in mL, and mean value (None where there is no voxel).
    """
    numbers = sitk.GetArrayViewFromImage(labels).ravel()
    values = sitk.GetArrayViewFromImage(image).ravel()
    found = np.flatnonzero(numbers)
    counts = np.bincount(numbers[found], minlength=len(segments) + 1)
    sums = np.bincount(numbers[found], weights=values[found], minlength=len(segments) + 1)
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
