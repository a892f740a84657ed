"""Checks of the instances of a series, before their geometry: whose they are, and that their pixels are values."""

import contextlib
from collections import Counter
from collections.abc import Sequence

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.uids import is_uid
from NativeDLLib.source.fast_values import groups_alike, plain_numbers
from NativeDLLib.source.header import IMAGE_CLASSES, Instance, number

# Without these a SEG cannot say what it belongs to (PS3.3 A.51).
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_SAME_EVERYWHERE = (
    *("SOPClassUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"),
    *("Modality", "Rows", "Columns", "PhotometricInterpretation"),
)
_LOOKED_AT = (
    *("SeriesInstanceUID", "SpecificCharacterSet", *_SAME_EVERYWHERE),
    *("ImageType", "SamplesPerPixel", "BitsStored", "HighBit", "ModalityLUTSequence"),
)
# Image Types of images that show several slices side by side: Siemens, United Imaging, and pictures for a page.
_SEVERAL_PLANES = {"MOSAIC", "VFRAME", "MONTAGE", "COLLAGE"}
_SIEMENS = (0x0019, "SIEMENS MR HEADER")


def check_images(instances: Sequence[Instance], where: str) -> None:
    """Refuse instances that are not of one patient, study and kind, or whose pixels are not values of one plane each.
    InputError says what differs, or names the file and what is wrong with it.
    """
    # A series has thousands of headers: what has the same bytes in all of them is looked at once.
    kinds = [[instances[i] for i in same] for same in groups_alike([i.dataset for i in instances], _LOOKED_AT)]
    for kind in kinds:
        for keyword in _IDENTIFIERS:
            _check_uid(kind[0], keyword, where)
        if kind[0].sop_class not in IMAGE_CLASSES:
            raise kind[0].error("is not a CT, MR or PET image")
    for instance in instances:
        _check_uid(instance, "SOPInstanceUID", where)
    for keyword in _SAME_EVERYWHERE:
        values: Counter[str] = Counter()
        for kind in kinds:
            values[_told(kind[0], keyword)] += len(kind)
        if len(values) > 1:
            # Names and patient IDs stay out of messages: these end up in logs.
            shown = ", ".join(f"'{v}' in {n}" for v, n in list(values.items())[:4])
            detail = f"{len(values)} different values" if keyword.startswith("Patient") else shown
            raise InputError(f"{where}: {keyword} is not the same in all {len(instances)} instances: {detail}")
    for kind in kinds:
        _check_pixels(kind[0])
    if instances[0].text("Modality") == "MR":
        for instance in instances:
            _check_tiles(instance)


def _check_uid(instance: Instance, keyword: str, where: str) -> None:
    value = instance.text(keyword)
    if value and not is_uid(value):
        raise InputError(f"{instance.path}: {keyword} '{value[:70]}' is not a valid UID")
    if not value:
        missing = [keyword for keyword in _IDENTIFIERS if not instance.text(keyword)]
        also = [keyword for keyword in ("PatientID", "PatientName") if not instance.text(keyword)]
        empty = f" ({' and '.join(also)} empty too)" if also else ""
        raise InputError(
            f"{where}: {instance.path.name} has no {', '.join(missing)}{empty}; a DICOM SEG must refer to them, so "
            "restore them from the archive or the de-identification key, or segment the volume as an image file, "
            "which gives no SEG",
            hint="convert it to NRRD or NIfTI and give --image",
        )


def _told(instance: Instance, keyword: str) -> str:
    """Return an attribute as it is compared: empty components at the end of a name say nothing (PS3.5 6.2.1)."""
    value = instance.text(keyword)
    if keyword != "PatientName":
        return value
    return "=".join(group.rstrip("^ ") for group in value.split("=")).rstrip("=")


def _check_pixels(instance: Instance) -> None:
    """Refuse pixels that are no values of one plane, or mean something else than slope and intercept say."""
    dataset, meaning = instance.dataset, instance.text("PhotometricInterpretation")
    for keyword in ("Rows", "Columns"):
        size = number(dataset, keyword, instance.path)
        if size is None or size < 1:
            raise instance.error(f"{keyword} is missing or 0")
    if not instance.text("Modality"):
        raise instance.error("has no Modality")
    samples = number(dataset, "SamplesPerPixel", instance.path)
    if samples not in (None, 1) or not meaning.startswith("MONOCHROME"):
        raise instance.error(f"is not a grey-scale image, but {meaning or 'of unknown colours'}")
    _check_tiles(instance)
    kept, high = (number(dataset, keyword, instance.path) for keyword in ("BitsStored", "HighBit"))
    if kept is not None and high is not None and high != kept - 1:
        raise instance.error(f"HighBit is {high:g}, and not one less than BitsStored, which is {kept:g}")
    if "ModalityLUTSequence" in dataset:
        raise instance.error("has a Modality LUT Sequence in place of a rescale slope and intercept, which is not read")


def _check_tiles(instance: Instance) -> None:
    """Refuse a mosaic, that is named so or that Siemens says the number of slices of."""
    named, tiles = instance.image_type & _SEVERAL_PLANES, 1
    # To find a private block, pydicom sorts all tags of a header.
    if any(tag >> 16 == _SIEMENS[0] for tag in instance.dataset.keys()):  # noqa: SIM118  (values would be converted)
        with contextlib.suppress(KeyError, TypeError, ValueError):
            tiles = int(instance.dataset.private_block(*_SIEMENS)[0x0A].value)
    if named or tiles > 1:
        shown = f" of {tiles} slices" if tiles > 1 else ""
        raise instance.error(
            f"is a mosaic{shown} in one image ({' '.join(named) or 'private header of Siemens'}); convert it to one "
            "image for each slice"
        )


def check_rescaling(instances: Sequence[Instance], where: str) -> list[str]:
    """Return a warning where no slice says what its values mean; InputError names the first of them where some do."""
    notes = []
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        without = [i for i in instances if not plain_numbers(i.dataset, keyword) and not i.text(keyword)]
        if 0 < len(without) < len(instances):
            others = len(instances) - len(without)
            raise without[0].error(f"has no {keyword}, which {others} of the {len(instances)} instances have")
        if without and instances[0].text("Modality") == "CT":
            default = "1" if keyword == "RescaleSlope" else "0"
            notes.append(f"{where}: there is no {keyword}; it is taken to be {default}")
    return notes
