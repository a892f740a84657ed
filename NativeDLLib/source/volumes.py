"""Volumes of one series, such as acquisitions, phases and echoes of the same place, and taking one of them."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.source.geometry import Slice, arrange
from NativeDLLib.source.header import Instance, text

# Attributes in which volumes differ, the plainest first, and what functional groups call them (PS3.3 C.7.6.16, C.8.13).
_KEYS = {
    "AcquisitionNumber": "FrameAcquisitionNumber",
    "TemporalPositionIdentifier": "TemporalPositionIndex",
    "StackID": "StackID",
    "EchoTime": "EffectiveEchoTime",
    "EchoNumbers": "",
    "InversionTime": "InversionTimes",
    "FlipAngle": "FlipAngle",
    "DiffusionBValue": "DiffusionBValue",
    "TriggerTime": "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase": "NominalPercentageOfCardiacPhase",
    "ImageType": "FrameType",
    "ConvolutionKernel": "ConvolutionKernel",
    "KVP": "KVP",
    "AcquisitionTime": "FrameAcquisitionDateTime",
    "SeriesTime": "",
    "InstanceNumber": "",
}
_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_SHOWN = 6


class SeveralVolumesError(InputError):
    """A series that is several volumes; `volumes` has what each is taken by, as ``KEY=VALUE``, and its slices."""

    def __init__(self, message: str, volumes: Sequence[tuple[tuple[str, ...], int]]) -> None:
        super().__init__(message, hint="take one with --volume KEY=VALUE; nativedl inspect lists them")
        self.volumes = volumes


def of_volume(instances: Sequence[Instance], volume: Sequence[str], where: str) -> list[Instance]:
    """Instances that are, or hold frames, of the volume that ``KEY=VALUE`` tells; InputError where there are none."""
    kept = list(instances)
    for wanted in volume:
        key, is_given, _ = wanted.partition("=")
        if not is_given or not key.strip() or tag_for_keyword(_keyword(key)) is None:
            raise UsageError(
                f"volume: '{wanted}' is not an attribute with its value, as in AcquisitionNumber=2; "
                f"volumes differ in {', '.join(list(_KEYS)[:8])} and others"
            )
        before = kept
        kept = [i for i in before if any(fits(i, frame, wanted) for frame in range(_frames(i)))]
        if not kept:
            key = _keyword(key)
            there = sorted({_values(i, frame, [key])[0] or "none" for i in before for frame in range(_frames(i))})
            raise InputError(f"{where}: no image has {wanted}; {key} is {', '.join(there[:_SHOWN])}")
    return kept


def refuse_several(instances: Sequence[Instance], slices: Sequence[Slice], where: str) -> None:
    """Refuse slices that are several volumes, with what they differ in, how many they are, and how each is taken.
    Volumes are told apart by one attribute, or else by two, whose values part the slices into regular grids; or, where
    slices are missing, into sets without two slices in one place.
    """
    rows = [_values(instances[s.instance], s.frame, list(_KEYS)) for s in slices]
    values = dict(zip(_KEYS, zip(*rows, strict=True), strict=True))
    differing = [key for key, of in values.items() if len(set(of)) > 1]
    if not instances[0].is_multiframe:
        differing = [key for key in differing if key != "InstanceNumber"]  # it counts the slices
    for is_volume in (_is_regular, _has_no_double):
        for count in (1, 2):
            found = []
            for keys in combinations(differing, count):
                sets: dict[tuple[str, ...], list[Slice]] = {}
                for s, value in zip(slices, zip(*(values[key] for key in keys), strict=True), strict=True):
                    sets.setdefault(value, []).append(s)
                if _are_volumes(sets) and all(is_volume(part, instances[0]) for part in sets.values()):
                    found.append((keys, sets))
            if found:
                _refuse(found, where)


def _refuse(found: Sequence[tuple[tuple[str, ...], dict[tuple[str, ...], list[Slice]]]], where: str) -> None:
    told = []
    for keys, sets in found[:3]:
        shown = ", ".join("/".join(part or "none" for part in value) for value in sorted(sets, key=_order)[:_SHOWN])
        told.append(f"{' and '.join(keys)} ({shown}{', ...' if len(sets) > _SHOWN else ''})")
    keys, sets = found[0]
    volumes = [
        (tuple(f"{key}={part or 'none'}" for key, part in zip(keys, value, strict=True)), len(sets[value]))
        for value in sorted(sets, key=_order)
    ]
    message = f"{where}: holds {len(sets)} volumes that differ in {', in '.join(told)}; one at a time can be segmented"
    raise SeveralVolumesError(message, volumes)


def _are_volumes(sets: dict[tuple[str, ...], list[Slice]]) -> bool:
    """Tell whether sets of slices can be volumes: an attribute that differs from slice to slice makes none, nor does
    one that differs from one part of the patient to the next.
    """
    if len(sets) < 2 or min(map(len, sets.values())) < 2:
        return False
    (normal, *others), ends = [np.cross(s[0].orientation[:3], s[0].orientation[3:]) for s in sets.values()], []
    if any(not np.allclose(normal, other, atol=0.1) for other in others):
        return True
    for part in sets.values():
        heights = np.array([s.position for s in part]) @ normal
        ends.append((heights.min(), heights.max()))
    ends.sort()
    return any(before[1] >= after[0] for before, after in pairwise(ends))


def _is_regular(slices: Sequence[Slice], first: Instance) -> bool:
    return not arrange(slices, int(first.dataset.Columns), int(first.dataset.Rows))[2]


def _has_no_double(slices: Sequence[Slice], _: Instance) -> bool:
    return max(Counter(tuple(round(p, 2) for p in s.position) for s in slices).values()) == 1


def _groups(instance: Instance, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence of functional groups; none where they are damaged, which `slices_of` tells."""
    try:
        return instance.dataset.get(keyword) or () if instance.is_multiframe else ()
    except Exception:  # pydicom lets pass whatever its parser stumbles over
        return ()


def _frames(instance: Instance) -> int:
    return len(_groups(instance, _PER_FRAME)) or 1


def fits(instance: Instance, frame: int, wanted: str) -> bool:
    """Tell whether a frame is of the volume that ``KEY=VALUE`` tells."""
    key, _, given = wanted.partition("=")
    found = _values(instance, frame, [_keyword(key)])[0] or "none"
    if found.lower() == (given.strip() or "none").lower():
        return True
    try:
        return float(found) == float(given)
    except ValueError:
        return False


def _values(instance: Instance, frame: int, keys: Sequence[str]) -> list[str]:
    """Return the texts of attributes of a slice: of its frame where it has them there, else of its instance."""
    told: dict[str, Dataset] = {}
    for groups in (*_groups(instance, _SHARED), *_groups(instance, _PER_FRAME)[frame : frame + 1]):
        for group in (group.value[0] for group in groups if group.VR == "SQ" and group.value):
            told |= dict.fromkeys(group.dir(), group)
    names = [next((name for name in (_KEYS.get(key), key) if name in told), key) for key in keys]
    return [text(told[name], name) if name in told else instance.text(name) for name in names]


def _keyword(key: str) -> str:
    """Return the keyword that is meant: that of a frame stands for that of an image, in any case of letters."""
    for keyword, of_frame in _KEYS.items():
        if key.strip().lower() in (keyword.lower(), of_frame.lower() or keyword.lower()):
            return keyword
    return key.strip()


def _order(value: tuple[str, ...]) -> Any:
    """Return a key that sorts numbers as numbers."""
    try:
        return 0, tuple(float(part) for part in value), ()
    except ValueError:
        return 1, (), value
