"""The ``needs_bone`` step: a network that never saw a phantom finds organs in it, and no patient is without bone."""

import numpy as np
import SimpleITK as sitk

from NativeDLLib.postprocess.state import State

_BODY_HU, _BONE_HU = -300, 200
# Every second slice and every fourth row and column tell enough.
_SAMPLES = (slice(None, None, 2), slice(None, None, 4), slice(None, None, 4))


def needs_bone(state: State, *, least_percent: float) -> None:
    """Leave out everything where less of the body than in any patient is bone.

    `least_percent` is the share of all that is denser than air and lung that must be as dense as bone.
    """
    classes, image = state.labels, state.image
    if not classes.any():
        return
    values = sitk.GetArrayViewFromImage(image)[_SAMPLES]
    body, bone = int(np.count_nonzero(values > _BODY_HU)), int(np.count_nonzero(values > _BONE_HU))
    percent = 100 * bone / body if body else 0.0
    if percent >= least_percent:
        return
    volume = np.count_nonzero(classes) * float(np.prod(image.GetSpacing())) / 1000
    classes[:] = 0
    state.remarks.append(
        f"hardly any bone is in the images ({percent:.1f} % of the body), as in no patient: "
        f"{volume:.1f} mL of what the network found are left out"
    )
