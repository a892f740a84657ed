"""Checks of the instances of a series, before their geometry: whose they are, and that their pixels are values."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.uids import is_uid
from NativeDLLib.source.fast_values import alike, plain_numbers, plain_whole
from NativeDLLib.source.header import Instance, number
from NativeDLLib.source.sop_classes import IMAGE_CLASSES

# Without these a SEG cannot say what it belongs to (PS3.3 A.51).
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_SAME_EVERYWHERE = (
    "SOPClassUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "PatientName",
    "Modality",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
)
# Image Types of images that show several slices side by side: Siemens, United Imaging, and pictures for a page.
_SEVERAL_PLANES = {"MOSAIC", "VFRAME", "MONTAGE", "COLLAGE"}
_SIEMENS = (0x0019, "SIEMENS MR HEADER")


def check_identity(instances: Sequence[Instance], where: str) -> None:
    """Refuse instances that do not say what they belong to, or are no slices.

    Raises
    ------
    InputError
        With the file and what it lacks.
    """
    for instance in instances:
        values = {keyword: instance.text(keyword) for keyword in _IDENTIFIERS}
        missing = [keyword for keyword, value in values.items() if not value]
        if missing:
            also = [keyword for keyword in ("PatientID", "PatientName") if not instance.text(keyword)]
            empty = f" ({' and '.join(also)} empty too)" if also else ""
            raise InputError(
                f"{where}: {instance.path.name} has no {', '.join(missing)}{empty}; a DICOM SEG must refer to them, so "
                "restore them from the archive or the de-identification key"
            )
        for keyword, value in values.items():
            if not is_uid(value):
                raise InputError(f"{instance.path}: {keyword} '{value[:70]}' is not a valid UID")
        if values["SOPClassUID"] not in IMAGE_CLASSES:
            raise instance.error("is not a CT, MR or PET image")


def check_images(instances: Sequence[Instance], where: str) -> None:
    """Refuse instances that are not of one patient, study and kind, or whose pixels are not values of one plane each.

    Raises
    ------
    InputError
        With what differs, or with the file and what is wrong with it.
    """
    first = instances[0]
    datasets = [instance.dataset for instance in instances]
    # The same bytes are the same text only where they are read in the same character set.
    same_characters = len({instance.text("SpecificCharacterSet") for instance in instances}) == 1
    for keyword in _SAME_EVERYWHERE:
        if same_characters and alike(datasets, keyword):
            continue
        values: dict[str, int] = {}
        for instance in instances:
            value = _told(instance, keyword)
            values[value] = values.get(value, 0) + 1
        if len(values) > 1:
            # Names and patient IDs stay out of messages: these end up in logs.
            shown = ", ".join(f"'{v}' in {n}" for v, n in list(values.items())[:4])
            detail = f"{len(values)} different values" if keyword.startswith("Patient") else shown
            raise InputError(f"{where}: {keyword} is not the same in all {len(instances)} instances: {detail}")
    for keyword in ("Rows", "Columns"):
        size = number(first.dataset, keyword, first.path)
        if size is None or size < 1:
            raise first.error(f"{keyword} is missing or 0")
    if not first.text("Modality"):
        raise first.error("has no Modality")
    for instance in instances:
        _check_pixels(instance)


def _told(instance: Instance, keyword: str) -> str:
    """Return an attribute as it is compared: empty components at the end of a name say nothing (PS3.5 6.2.1)."""
    value = instance.text(keyword)
    if keyword != "PatientName":
        return value
    return "=".join(group.rstrip("^ ") for group in value.split("=")).rstrip("=")


def _check_pixels(instance: Instance) -> None:
    """Refuse pixels that are no values of one plane, or mean something else than slope and intercept say."""
    dataset, meaning = instance.dataset, instance.text("PhotometricInterpretation")
    samples = plain_whole(dataset, "SamplesPerPixel") or number(dataset, "SamplesPerPixel", instance.path)
    if samples not in (None, 1) or not meaning.startswith("MONOCHROME"):
        raise instance.error(f"is not a grey-scale image, but {meaning or 'of unknown colours'}")
    planes = instance.image_type & _SEVERAL_PLANES
    tiles = _tiles(dataset)
    if planes or tiles > 1:
        shown = f" of {tiles} slices" if tiles > 1 else ""
        raise instance.error(
            f"is a mosaic{shown} in one image ({' '.join(planes) or 'private header of Siemens'}); convert it to one "
            "image for each slice"
        )
    kept, high = (plain_whole(dataset, keyword) for keyword in ("BitsStored", "HighBit"))
    if kept is not None and high is not None and high != kept - 1:
        raise instance.error(f"HighBit is {high}, and not one less than BitsStored, which is {kept}")
    if "ModalityLUTSequence" in dataset:
        raise instance.error("has a Modality LUT Sequence in place of a rescale slope and intercept, which is not read")


def _tiles(dataset: Dataset) -> int:
    """Return how many slices Siemens says that the image is tiled of, 1 where it does not."""
    # To find a private block, pydicom sorts all tags of a header.
    if not any(tag >> 16 == _SIEMENS[0] for tag in dataset.keys()):  # noqa: SIM118  (values would be converted)
        return 1
    try:
        return int(dataset.private_block(*_SIEMENS)[0x0A].value)
    except (KeyError, TypeError, ValueError):
        return 1


def check_rescaling(instances: Sequence[Instance], where: str) -> list[str]:
    """Refuse a series of which some slices do not say what their values mean; return a warning where none does.

    Raises
    ------
    InputError
        With the first such slice.
    """
    notes = []
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        without = [i for i in instances if plain_numbers(i.dataset, keyword) is None and not i.text(keyword)]
        if 0 < len(without) < len(instances):
            others = len(instances) - len(without)
            raise without[0].error(f"has no {keyword}, which {others} of the {len(instances)} instances have")
        if without and instances[0].text("Modality") == "CT":
            default = "1" if keyword == "RescaleSlope" else "0"
            notes.append(f"{where}: there is no {keyword}; it is taken to be {default}")
    return notes
