"""Cleaning a label map in the steps that a registry entry lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.box import box_of
from NativeDLLib.registry.entry import Segment
from NativeDLLib.registry.parameters import Value, resolve

Mask = npt.NDArray[np.bool_]


def postprocess(
    labels: sitk.Image,
    segments: Sequence[Segment],
    steps: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Value],
) -> sitk.Image:
    """Apply the steps of an entry in their order.

    Parameters
    ----------
    labels
        Label map of Segment Numbers, in place in the patient.
    segments
        The entry's segments; steps name them by their label.
    steps
        ``keep_largest``, ``remove_small`` (below ``min_ml`` millilitres) and ``fill_holes`` (background enclosed in
        three dimensions), each for some labels or for all.
    parameters
        Effective parameters, for settings that refer to one.
    """
    values = sitk.GetArrayFromImage(labels)
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000
    box = box_of(values > 0)
    inside = values if box is None else values[box]
    for step in steps:
        if not resolve(step.get("enabled", True), parameters):
            continue
        wanted = step.get("labels")
        for segment in segments:
            if wanted is None or segment.label in wanted:
                _apply(step, inside, segment.number, voxel_ml, parameters)
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(labels)
    return result


def _apply(
    step: Mapping[str, Any], values: npt.NDArray[Any], number: int, voxel_ml: float, parameters: Mapping[str, Value]
) -> None:
    # Only the box around the segment is worked on: the rest of the volume holds none of it.
    box = box_of(values == number)
    if box is None:
        return
    part = values[box]
    mask = part == number
    if step["step"] == "keep_largest":
        part[mask & ~_components_from(mask, 1, largest_only=True)] = 0
    elif step["step"] == "remove_small":
        least = float(resolve(step["min_ml"], parameters)) / voxel_ml
        part[mask & ~_components_from(mask, least, largest_only=False)] = 0
    else:
        filled = sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8)), fullyConnected=False)
        part[(sitk.GetArrayViewFromImage(filled) == 1) & (part == 0)] = number


def _components_from(mask: Mask, least: float, *, largest_only: bool) -> Mask:
    """Return the voxels of the face-, edge- or corner-connected components that have at least that many voxels."""
    components = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    numbered = sitk.GetArrayViewFromImage(components)
    counts = np.bincount(numbered.ravel())
    counts[0] = 0
    keep = counts == counts.max() if largest_only else counts >= max(1.0, least)
    if largest_only:
        keep[np.argmax(counts) + 1 :] = False
    keep[0] = False
    result: Mask = keep[numbered]
    return result
