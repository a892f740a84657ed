"""Levels of vertebrae that cannot be true, whatever model gave them: too large for one vertebra, or out of order.

Such a segment keeps its voxels and loses its level: a wrong code in the PACS is worse than none.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Points
from NativeDLLib.quality.finding import Finding, FindingCode
from NativeDLLib.registry.entry import Code, Segment

VERTEBRA = Code("51282000", "SCT", "Vertebra")
# Neighbours are 17 mm (C5) to 40 mm (L4) apart in adults: Gilad and Nissan, J Anat 143 (1985) 115; Kunkel et al.,
# J Anat 216 (2010) 320. Centres of masks, arches included, and of children, differ from those of bodies.
_NEAREST_MM, _FARTHEST_MM = 10.0, 60.0
# Of the usual distance nearby: half of it is a level that was skipped, twice as much a vertebra without its number. A
# vertebra that the border of the images cuts is not nearer than the first.
_NEAREST, _FARTHEST = 0.6, 1.6
# The outermost voxels, such as tips of processes, do not make a vertebra high.
_OUTER_PERCENT = 2.0


def certain_levels(
    labels: sitk.Image, segments: Sequence[Segment], merged: Collection[int]
) -> tuple[tuple[Segment, ...], list[Finding]]:
    """Segments, those of doubtful levels without it and renamed, and the findings that say why. `labels` holds Segment
    Numbers, a segment's `plausible` the bounds of its vertebra, `merged` the labels of segments that ran together
    with others and could not be cut apart for certain.
    """
    spine = sorted((segment for segment in segments if segment.plausible.level is not None), key=_level)
    places = _places(labels, [segment.number for segment in spine]) if spine else {}
    there = [segment for segment in spine if len(places[segment.number])]
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000
    centres = {segment.number: places[segment.number].mean(axis=0) for segment in there}
    why: dict[int, str] = {}
    for segment in there:
        along = places[segment.number] @ _direction(segment, there, centres)
        high = float(np.ptp(np.percentile(along, [_OUTER_PERCENT, 100 - _OUTER_PERCENT])))
        volume = len(places[segment.number]) * voxel_ml
        most, bounds = segment.plausible.extent_mm, segment.plausible.volume_ml
        if most is not None and high > most:
            why[segment.number] = f"it is {high:.0f} mm high, where one vertebra has at most {most:g} mm"
        elif bounds and volume > bounds[1]:
            why[segment.number] = f"it has {volume:.0f} mL, where one vertebra has at most {bounds[1]:g}"
    too_large = set(why)
    # Upper and lower; of several parts of one vertebra, none lies above another.
    pairs = [(upper, lower) for upper, lower in pairwise(there) if _level(upper) < _level(lower)]
    steps = [float(np.linalg.norm(centres[a.number] - centres[b.number])) / (_level(b) - _level(a)) for a, b in pairs]
    for index, (upper, lower) in enumerate(pairs):
        down = float(centres[upper.number][2] - centres[lower.number][2])
        beside = sorted(set(range(len(steps))) - {index}, key=lambda other: abs(other - index))[:4]
        usual = float(np.median([steps[other] for other in beside])) if len(beside) > 1 else None
        least, most = (_NEAREST * usual, _FARTHEST * usual) if usual else (_NEAREST_MM, _FARTHEST_MM)
        if down <= 0 or not max(least, _NEAREST_MM) <= steps[index] <= min(most, _FARTHEST_MM):
            told = f"{upper.name} lies {abs(down):.0f} mm {'above' if down > 0 else 'below'} {lower.name}"
            why |= {segment.number: told for segment in (upper, lower) if segment.number not in why}
    named, findings = _without_levels(segments, why, too_large, centres)
    ran_together = "ran together with others; where it ends, and whether it is one, is not certain"
    apart = [s.name for s in named if s.label in merged]
    return named, [*findings, *(Finding("not-told-apart", f"{name}: {ran_together}", name) for name in apart)]


def _without_levels(
    segments: Sequence[Segment], why: dict[int, str], too_large: set[int], centres: dict[int, Points]
) -> tuple[tuple[Segment, ...], list[Finding]]:
    from_top = sorted(why, key=lambda number: -centres[number][2])
    result, findings = [], []
    for segment in segments:
        if segment.number in why:
            name = f"Vertebra of uncertain level {from_top.index(segment.number) + 1}"
            message = f"{name}: not named {segment.name}, as the model has it: {why[segment.number]}"
            code: FindingCode = "implausible-size" if segment.number in too_large else "out-of-order"
            findings.append(Finding(code, message, name))
            segment = replace(segment, name=name, type=VERTEBRA, plausible=replace(segment.plausible, level=None))
        result.append(segment)
    return tuple(result), findings


def _level(segment: Segment) -> int:
    assert segment.plausible.level is not None
    return segment.plausible.level


def _places(labels: sitk.Image, numbers: Sequence[int]) -> dict[int, Points]:
    """Positions (x, y, z) in mm, in the patient, of the voxels of some segments."""
    values = sitk.GetArrayViewFromImage(labels)
    table = np.zeros(int(values.max(initial=0)) + 1, bool)
    table[[number for number in numbers if number < len(table)]] = True
    rows = [np.flatnonzero(table[plane]) + z * plane.size for z, plane in enumerate(values)]
    flat = np.concatenate(rows)
    found = values.reshape(-1)[flat]
    index = np.stack(np.unravel_index(flat, values.shape)[::-1], axis=1)
    axes = np.array(labels.GetDirection()).reshape(3, 3) * labels.GetSpacing()
    places: Array = index @ axes.T + labels.GetOrigin()
    return {number: places[found == number] for number in numbers}


def _direction(segment: Segment, spine: Sequence[Segment], centres: dict[int, Points]) -> Points:
    """Return the direction from the vertebra below, in a spine in order, to the one above; upwards if there is none."""
    beside = [s for s in spine if abs(_level(s) - _level(segment)) <= 1]
    way = centres[beside[0].number] - centres[beside[-1].number]
    length = float(np.linalg.norm(way))
    # Where the order is wrong, the direction is too.
    return way / length if length and way[2] > length / 2 else np.array([0.0, 0.0, 1.0])
