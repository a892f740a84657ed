"""A series: its image instances in the order of their places, with a geometry that is checked before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.uids import is_uid
from NativeDLLib.source.fast_values import alike, plain_numbers
from NativeDLLib.source.frames import slices_of
from NativeDLLib.source.geometry import Grid, Slice, arrange
from NativeDLLib.source.header import Instance, number
from NativeDLLib.source.scan import scan
from NativeDLLib.source.sop_classes import IMAGE_CLASSES

if TYPE_CHECKING:
    import SimpleITK as sitk

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


@dataclass(frozen=True)
class Series:
    """An ordered, geometry-checked set of the image instances of one series.

    Attributes
    ----------
    instances
        The files with their headers, in the order of the slices.
    slices
        The planes, ordered along the slice normal (row direction x column direction).
    grid
        The regular grid they form.
    warnings
        What was noticed and does not stand in the way.
    """

    instances: tuple[Instance, ...]
    slices: tuple[Slice, ...]
    grid: Grid
    warnings: tuple[str, ...] = ()

    @property
    def header(self) -> Dataset:
        """The first instance's data set, without pixel data."""
        return self.instances[0].dataset

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return self.text("SeriesInstanceUID")

    def text(self, keyword: str) -> str:
        """Return an attribute of the first instance as text; empty where it is absent."""
        return self.instances[0].text(keyword)

    def image(self, progress: Progress | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the voxels.

        Returns
        -------
        image, warnings
            Rescaled values (HU for CT), int16 or float32, in place in the patient (LPS, mm); and what was noticed.

        Raises
        ------
        InputError
            Where pixel data cannot be decoded.
        """
        # SimpleITK takes a tenth of a second to import, and headers are read without it.
        from NativeDLLib.source.pixels import read_image

        image, notes = read_image(self.instances, self.slices, progress or Progress())
        return self.grid.apply(image), notes

    def image_of(self, voxels: npt.NDArray[Any]) -> sitk.Image:
        """Return an array (z, y, x) on the series' grid as an image."""
        import SimpleITK as sitk

        return self.grid.apply(sitk.GetImageFromArray(voxels))

    @classmethod
    def read(cls, paths: Sequence[Path], uid: str | None = None) -> Series:
        """Find a series in files and folders.

        Parameters
        ----------
        paths
            Files and folders, which are searched at any depth.
        uid
            Series Instance UID; needed where there is more than one.

        Raises
        ------
        InputError
            Where there is no such series, or it cannot be segmented truthfully.
        """
        found = scan(paths)
        where = str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths"
        return cls.of(found.choose(uid, where), found.warnings)

    @classmethod
    def of(cls, instances: Sequence[Instance], warnings: Sequence[str] = ()) -> Series:
        """Check instances that share a Series Instance UID and order them.

        Raises
        ------
        InputError
            With everything that is wrong, in one line.
        """
        where = f"series {instances[0].text('SeriesInstanceUID') or 'without UID'} ({instances[0].path.parent})"
        _check_identity(instances, where)
        _check_images(instances, where)
        slices = slices_of(instances)
        multiframe = instances[0].is_multiframe
        if multiframe and len(instances) > 1:
            raise InputError(f"{where}: is spread over {len(instances)} multi-frame instances; one can be segmented")
        notes = [*warnings, *([] if multiframe else _check_rescaling(instances, where))]
        header = instances[0].dataset
        order, grid, problems = arrange(slices, int(header.Columns), int(header.Rows))
        localizers = [i for i in instances if "LOCALIZER" in i.text("ImageType").upper().split("\\")]
        if localizers:
            problems.insert(0, f"{len(localizers)} of {len(instances)} instances are localizers")
        if problems or grid is None:
            raise InputError(f"{where}: cannot be segmented truthfully: {'; '.join(problems)}{_tilt_note(instances)}")
        ordered = [slices[i] for i in order]
        if multiframe:
            return cls(tuple(instances), tuple(ordered), grid, tuple(notes))
        files = tuple(instances[s.instance] for s in ordered)
        return cls(files, tuple(_renumbered(s, i) for i, s in enumerate(ordered)), grid, tuple(notes))


def _renumbered(plane: Slice, index: int) -> Slice:
    values = vars(plane) | {"instance": index}
    return Slice(**values)


def _check_identity(instances: Sequence[Instance], where: str) -> None:
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


def _check_images(instances: Sequence[Instance], where: str) -> None:
    first = instances[0]
    datasets = [instance.dataset for instance in instances]
    # The same bytes are the same text only where they are read in the same character set.
    same_characters = len({instance.text("SpecificCharacterSet") for instance in instances}) == 1
    for keyword in _SAME_EVERYWHERE:
        if same_characters and alike(datasets, keyword):
            continue
        values: dict[str, int] = {}
        for instance in instances:
            value = instance.text(keyword)
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
    samples = number(first.dataset, "SamplesPerPixel", first.path)
    if samples not in (None, 1) or not first.text("PhotometricInterpretation").startswith("MONOCHROME"):
        raise first.error("is not a grey-scale image")
    if not first.text("Modality"):
        raise first.error("has no Modality")


def _check_rescaling(instances: Sequence[Instance], where: str) -> list[str]:
    """Refuse a series of which some slices do not say what their values mean; return a warning where none does."""
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


def _tilt_note(instances: Sequence[Instance]) -> str:
    try:
        tilt = number(instances[0].dataset, "GantryDetectorTilt", instances[0].path)
    except InputError:
        tilt = None
    return f" (its header says GantryDetectorTilt {tilt:g} degrees)" if tilt else ""
