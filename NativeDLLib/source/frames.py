"""The slices that an instance holds: one in a classic image, one a frame in an enhanced one (PS3.3 C.7.6.16)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from NativeDLLib.source.geometry import Slice
from NativeDLLib.source.header import Instance, number, numbers

# The functional groups that say where a frame lies and what its values mean; others have attributes of the same names.
_GROUPS = ("PixelMeasures", "PlanePosition", "PlaneOrientation", "PixelValueTransformation")


def slices_of(instances: Sequence[Instance]) -> list[Slice]:
    """Slices of the instances in stored order; InputError where one has no position, orientation or pixel spacing."""
    found = []
    for index, instance in enumerate(instances):
        for frame, groups in enumerate(_functional_groups(instance)):
            found.append(_slice(instance, index, frame, groups))
    return found


def _functional_groups(instance: Instance) -> list[Dataset]:
    """Return, for each frame, one flat data set of what is in its functional groups; the image itself if classic."""
    dataset = instance.dataset
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        if instance.is_multiframe or (number(dataset, "NumberOfFrames", instance.path) or 1) > 1:
            raise instance.error("is a multi-frame image without Per-frame Functional Groups Sequence")
        return [dataset]
    try:
        shared = Dataset()
        for item in dataset.get("SharedFunctionalGroupsSequence") or []:
            _flatten(item, shared)
        frames = []
        for item in dataset.PerFrameFunctionalGroupsSequence:
            flat = Dataset()
            flat.update(shared)
            _flatten(item, flat)
            frames.append(flat)
    # Sequences are parsed when they are looked at, and pydicom lets pass whatever its parser stumbles over.
    except Exception as error:
        raise instance.error("has damaged functional groups; repair or remove it") from error
    if not frames:
        raise instance.error("has an empty Per-frame Functional Groups Sequence")
    declared = number(dataset, "NumberOfFrames", instance.path)
    if declared != len(frames):
        raise instance.error(f"declares {declared or 0:.0f} frames but describes {len(frames)}")
    # The unit of the values is asked of the image as a whole.
    if "RescaleType" in frames[0]:
        dataset["RescaleType"] = frames[0]["RescaleType"]
    return frames


def _flatten(item: Dataset, into: Dataset) -> None:
    for group in filter(None, (item.get(f"{name}Sequence") for name in _GROUPS)):
        into.update(group[0])


def _slice(instance: Instance, index: int, frame: int, values: Dataset) -> Slice:
    where = instance.path

    def needed(keyword: str, count: int) -> tuple[float, ...]:
        found = numbers(values, keyword, count, where)
        if found is None:
            raise instance.error(f"has no {keyword}, so its place in the patient is unknown")
        return found

    place = needed("ImagePositionPatient", 3), needed("ImageOrientationPatient", 6), needed("PixelSpacing", 2)
    slope, intercept = (number(values, keyword, where) for keyword in ("RescaleSlope", "RescaleIntercept"))
    lacking = [name for name, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)) if value is None]
    # In an enhanced CT the frames have both (PS3.3 C.8.15.3.10); classic slices are compared with each other.
    if values is not instance.dataset and (len(lacking) == 1 or (lacking and instance.text("Modality") == "CT")):
        raise instance.error(f"has no {lacking[0]} in its functional groups, so its values mean nothing")
    if slope == 0:
        raise instance.error("RescaleSlope is 0, so its values are lost")
    thickness, distance = (number(values, keyword, where) for keyword in ("SliceThickness", "SpacingBetweenSlices"))
    return Slice(index, frame, *place, slope or 1.0, intercept or 0.0, thickness, distance)
