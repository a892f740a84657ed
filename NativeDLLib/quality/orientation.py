"""Images that are mirrored or turned, and organs on the wrong side of the body, as wrong headers show them.

The whole image is judged without any model, by the spine, the lungs and the largest soft organ; see `Look`.
PatientPosition proves nothing, as scanners write what was entered. An organ must be on the wrong side of the middle of
the body by a twentieth of its width, more than scoliosis, a raised arm or a table at the back give. Nothing is said
where the field of view cuts the outline: a narrow reconstruction around an organ has that organ in its middle.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from NativeDLLib.core.arrays import Array, Bools
from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.look import CUT_AT_BACK, Look, along_patient, is_cut, profile_along
from NativeDLLib.quality.masks import SIDES
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source.geometry import Grid

_WRONG_BY = 0.05
# Array axis, and whether the letter is in the direction of its indices.
_AXES = {"H": (0, 1), "F": (0, -1), "P": (1, 1), "A": (1, -1), "L": (2, 1), "R": (2, -1)}
_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A"}


def doubtful_orientation(look: Look) -> Iterator[Finding]:
    """Finding of a CT whose spine, lungs or largest soft organ lie where the header says that they do not."""
    wrong = {
        "the spine lies in front of the middle of the body": look.back,
        "the lungs lie at the feet's end of an abdomen": look.head,
        "the largest soft organ, as a rule the liver, lies left of the spine": look.liver,
    }
    if told := [what for what, sign in wrong.items() if sign < 0]:
        advice = "compare them with what is known of the patient"
        message = f"the images may be mirrored or turned: {'; '.join(told)}; {advice}"
        yield Finding("orientation-suspicious", message)


def wrong_sides(look: Look, labels: Array, grid: Grid, segments: Sequence[Segment]) -> Iterator[Finding]:
    """Findings of segments whose centre is on the other side of the body than their `plausible.side`. `labels` (z, y,
    x) has numbers from 1 in the order of the segments, on the grid that was looked at.
    """
    if not any(segment.plausible.side for segment in segments):
        return
    sampled, _ = along_patient(labels, grid)
    for number, segment in enumerate(segments, 1):
        here = sampled == number
        levels = here.any(axis=(1, 2))
        for side in segment.plausible.side if levels.any() else "":
            axis, sign = _AXES[side]
            where = _beside_middle(look.body[levels], here[levels], axis)
            if where is None:
                continue
            offset = sign * where[0] * look.spacing[axis]
            if offset < -_WRONG_BY * where[1] * look.spacing[axis]:
                message = (
                    f"{segment.name}: its centre lies {-offset:.0f} mm {SIDES[_OPPOSITE[side]]} of the middle of the "
                    f"body, where {SIDES[side]} of it is normal; the images may be mirrored or turned"
                )
                yield Finding("orientation-suspicious", message, segment.name)


def _beside_middle(body: Bools, segment: Bools, axis: int) -> tuple[float, float] | None:
    """Distance of a segment from the middle of the body along an array axis, and the body's width, in samples."""
    profile, own = profile_along(body, axis), profile_along(segment, axis)
    if is_cut(profile, CUT_AT_BACK) or not profile.any():
        return None
    middle, centre = (float(np.average(np.arange(len(part)), weights=part)) for part in (profile, own))
    return centre - middle, float(np.count_nonzero(profile > CUT_AT_BACK * profile.max()))
