"""The ``vertebra_levels`` step: from a network's classes to one segment for each vertebra that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.postprocess.vertebrae import number_vertebrae, voxels_of
from NativeDLLib.registry.entry import Model

Rows = list[dict[str, Any]]


def with_vertebrae(classes: sitk.Image, step: Mapping[str, Any]) -> tuple[npt.NDArray[np.uint16], str, list[str]]:
    """Give each vertebra its own label in place of the network's classes.

    Parameters
    ----------
    classes
        The network's classes, in place in the patient.
    step
        Of the registry entry.

    Returns
    -------
    labels, levels, notes
        Array (z, y, x); what the levels are known from, ``sacrum`` or ``ribs``, else ``numbered``; what the user
        should know.
    """
    roles: dict[str, int] = step["classes"]
    vertebrae = number_vertebrae(classes, roles)
    count = int(vertebrae.labels.max())
    names = [step["levels"][level] for level in vertebrae.levels] or step["numbered"][:count]
    notes = list(vertebrae.notes)
    if count > len(names):
        notes.append(f"{count} vertebrae were found, the lowest {count - len(names)} of them are left out")
    labels = sitk.GetArrayFromImage(classes).astype(np.uint16, copy=False)
    flat = labels.reshape(-1)
    where = voxels_of(labels, roles)
    table = np.array([0, *names, *[0] * (count - len(names))], np.uint16)
    flat[where] = table[vertebrae.labels.reshape(-1)[where]]
    return labels, vertebrae.known_from or "numbered", notes


def only_found(model: Model, labels: sitk.Image, rows: Rows) -> tuple[Model, sitk.Image, Rows]:
    """Leave only the segments that were found, numbered from 1; all of them where none was.

    Parameters
    ----------
    model
        The entry.
    labels
        Label map of Segment Numbers.
    rows
        What was measured, a row a segment.
    """
    kept = [index for index, row in enumerate(rows) if row["voxels"]]
    if not kept:
        return model, labels, rows
    table = np.zeros(len(rows) + 1, np.uint8)
    for number, index in enumerate(kept, 1):
        table[model.segments[index].number] = number
    renumbered = sitk.GetImageFromArray(table[sitk.GetArrayViewFromImage(labels)])
    renumbered.CopyInformation(labels)
    segments = tuple(replace(model.segments[index], number=number) for number, index in enumerate(kept, 1))
    found = [rows[index] | {"number": number} for number, index in enumerate(kept, 1)]
    return replace(model, segments=segments), renumbered, found
