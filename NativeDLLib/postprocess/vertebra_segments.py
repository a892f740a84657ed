"""The ``vertebra_levels`` step: from a network's classes to one segment for each vertebra that is there."""

from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk

from NativeDLLib.postprocess.state import State
from NativeDLLib.postprocess.vertebrae import number_vertebrae, voxels_of


def vertebra_levels(
    state: State, *, classes: Mapping[str, int], levels: Mapping[str, int], numbered: Sequence[int]
) -> None:
    """Give each vertebra the label of its level, or of its number from the top of the image.

    Parameters
    ----------
    classes
        Classes of the network; see `number_vertebrae`.
    levels, numbered
        Labels by level, and labels of vertebrae of unknown level, from the top of the image.
    """
    image = state.label_map()
    del state.labels  # a volume more would be the most that a run holds
    vertebrae = number_vertebrae(image, classes)
    labels = sitk.GetArrayFromImage(image).astype(np.uint16, copy=False)
    count = int(vertebrae.labels.max())
    names = [levels[level] if level else number for level, number in zip(vertebrae.levels, numbered, strict=False)]
    state.remarks += vertebrae.notes
    if count > len(names):
        state.remarks.append(f"{count} vertebrae were found, the lowest {count - len(names)} of them are left out")
    state.merged = [name for name, sure in zip(names, vertebrae.sure, strict=False) if not sure]
    where = voxels_of(labels, classes)
    table = np.array([0, *names, *[0] * (count - len(names))], np.uint16)
    labels.reshape(-1)[where] = table[vertebrae.labels.reshape(-1)[where]]
    state.labels, state.levels, state.only_found = labels, vertebrae.known_from or "numbered", True
