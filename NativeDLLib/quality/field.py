"""Masks that end at the edge of the scanner's round field of view, inside square images."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.quality.finding import Finding
from NativeDLLib.quality.masks import LEAST_CM2, SIDES, counts, letter
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source.geometry import Grid

# The circle is drawn a voxel or two larger or smaller by different scanners.
_VAGUE = 2.5
_SAMPLED_SLICES = 9
_AIR = -900.0  # HU; what stands for nothing is no brighter


def cut_by_field(
    values: npt.NDArray[Any], labels: npt.NDArray[Any], grid: Grid, segments: Sequence[Segment]
) -> Iterator[Finding]:
    """Findings of segments that end at the circle beyond which a scanner has no data. The circle is the largest in the
    image; it is there if all values beyond it are one, of air or below. `values` is in HU, `labels` has numbers from 1
    in the order of the segments; both (z, y, x).
    """
    depth, rows, columns = values.shape
    y, x = np.arange(rows)[:, None] - (rows - 1) / 2, np.arange(columns)[None] - (columns - 1) / 2
    off_centre, radius = np.hypot(y, x), min(rows, columns) / 2
    sampled = values[:: max(1, depth // _SAMPLED_SLICES), off_centre > radius + _VAGUE]
    if not sampled.size or sampled.min() != sampled.max() or sampled.max() > _AIR:
        return
    ring = off_centre > radius - _VAGUE
    ring[[0, -1]] = ring[:, [0, -1]] = False  # there it is the border that cuts
    across, down = np.abs(np.broadcast_to(x, ring.shape)) >= np.abs(y), np.broadcast_to(y, ring.shape)
    right = np.broadcast_to(x, ring.shape) > 0
    quarters = {
        letter(grid, 0, end=False): ring & across & ~right,
        letter(grid, 0, end=True): ring & across & right,
        letter(grid, 1, end=False): ring & ~across & (down < 0),
        letter(grid, 1, end=True): ring & ~across & (down >= 0),
    }
    # The ring is some voxels wide; what is cut has about this area on the circle.
    voxel_cm2 = grid.spacing[0] * grid.spacing[2] / 100 / _VAGUE
    found = {side: counts(labels[:, quarter], len(segments)) * voxel_cm2 for side, quarter in quarters.items()}
    for index, segment in enumerate(segments):
        cut = [
            side for side, areas in found.items() if areas[index] >= LEAST_CM2 and side not in segment.plausible.cut_at
        ]
        if cut:
            told = " and ".join(f"{SIDES[side]} (about {found[side][index]:.0f} cm2)" for side in cut)
            message = f"{segment.name}: cut by the {told} edge of the scanner's round field of view"
            yield Finding("cut-by-field-of-view", message, segment.name)
