"""Gates of implausible volumes, and of masks that end where the images or the scanner's round field of view end."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.quality.finding import Finding
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source.geometry import Grid

# Directions of the patient's axes x, y, z in the letters of Patient Orientation (PS3.3 C.7.6.1.1.1).
_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
SIDES = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "F": "inferior", "H": "superior"}
# A few voxels on the border are the rounded end of an organ or noise; a cut shows an area.
LEAST_CM2 = 1.0


def letter(grid: Grid, axis: int, *, end: bool) -> str:
    """Patient direction in which the first, or the last, index of an image axis (0 for x) lies."""
    direction = np.array(grid.direction).reshape(3, 3)[:, axis]
    along = int(np.abs(direction).argmax())
    return _LETTERS[along][int((direction[along] > 0) == end)]


def counts(part: Array, segments: int) -> Array:
    """Voxels of each segment in a part of a label map, or of masks with the segment as last axis."""
    if part.dtype == bool:
        return np.asarray(part.reshape(-1, segments).sum(axis=0))
    return np.bincount(part.ravel(), minlength=segments + 1)[1:]


def cut_by_border(pixels: Array, grid: Grid, segments: Sequence[Segment]) -> Iterator[Finding]:
    """Findings of segments that end at the outermost voxels, except at the borders of their `plausible.cut_at`.
    `pixels` is a label map (z, y, x) of numbers from 1 in the order of the segments, or masks (z, y, x, segment).
    """
    areas = {}
    for axis in range(3):
        others = [spacing for other, spacing in enumerate(grid.spacing) if other != axis]
        for index, end in ((0, False), (-1, True)):
            voxels = counts(np.take(pixels, index, axis=2 - axis), len(segments))
            areas[letter(grid, axis, end=end)] = voxels * np.prod(others) / 100
    where = "border of the images; its volume is that of a part"
    for segment, told in _unexpected(areas, segments):
        yield Finding("cut-by-border", f"{segment.name}: cut by the {told} {where}", segment.name)


def _unexpected(
    areas: Mapping[str, Array], segments: Sequence[Segment], about: str = ""
) -> Iterator[tuple[Segment, str]]:
    """Give the segments with a cut that is not expected, and its sides in words; `areas` are in cm2."""
    for index, segment in enumerate(segments):
        large = [side for side, cm2 in areas.items() if cm2[index] >= LEAST_CM2]
        if sides := [side for side in large if side not in segment.plausible.cut_at]:
            yield segment, " and ".join(f"{SIDES[side]} ({about}{areas[side][index]:.0f} cm2)" for side in sides)


def implausible_volumes(
    pixels: Array, segments: Sequence[Segment], volumes_ml: Sequence[float], elsewhere: Sequence[Finding]
) -> Iterator[Finding]:
    """Findings of segments that are larger than such a structure is, or smaller though nothing of it is cut off.
    `pixels` as in `cut_by_border`; `volumes_ml` is 0 for a segment that was not found; `elsewhere` are findings of cuts
    inside the images.
    """
    cut_inside = {finding.segment for finding in elsewhere if finding.code == "cut-by-field-of-view"}
    # Beyond the border of the images a part of what reaches it may be missing.
    faces = [np.take(pixels, index, axis=axis) for axis in range(3) for index in (0, -1)]
    reached = np.any([counts(face, len(segments)) > 0 for face in faces], axis=0)
    for segment, volume, cut in zip(segments, volumes_ml, reached, strict=True):
        bounds = segment.plausible.volume_ml
        if not volume or bounds is None:
            continue
        low, high = bounds
        partial = bool(cut) or segment.name in cut_inside
        if volume > high or (volume < low and not partial):
            message = f"{segment.name}: has {volume:.0f} mL, where {low:g} to {high:g} mL are plausible"
            yield Finding("implausible-volume", message, segment.name)


# The circle is drawn a voxel or two larger or smaller by different scanners.
_VAGUE = 2.5
_SAMPLED_SLICES = 9
_AIR = -900.0  # HU; what stands for nothing is no brighter


def cut_by_field(values: Array, labels: Array, grid: Grid, segments: Sequence[Segment]) -> Iterator[Finding]:
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
    areas = {side: counts(labels[:, quarter], len(segments)) * voxel_cm2 for side, quarter in quarters.items()}
    for segment, told in _unexpected(areas, segments, "about "):
        message = f"{segment.name}: cut by the {told} edge of the scanner's round field of view"
        yield Finding("cut-by-field-of-view", message, segment.name)
