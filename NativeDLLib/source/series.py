"""A series: its image instances in the order of their places, with a geometry that is checked before anything else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from NativeDLLib.core.arrays import Points
from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.source.characters import declared_terms, is_readable
from NativeDLLib.source.checks import check_images, check_rescaling
from NativeDLLib.source.frames import slices_of
from NativeDLLib.source.geometry import Grid, Slice, arrange
from NativeDLLib.source.header import Instance, number
from NativeDLLib.source.scan import scan
from NativeDLLib.source.volumes import SeveralVolumesError, fits, of_volume, refuse_several

if TYPE_CHECKING:
    import SimpleITK as sitk


class Source(Protocol):
    """One volume to be segmented, in place in the patient: a DICOM series or an image file."""

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""

    @property
    def warnings(self) -> Sequence[str]:
        """Remarks that do not stand in the way."""

    def text(self, keyword: str) -> str:
        """Return a DICOM attribute as text; empty where the source does not tell it."""

    def image(self, progress: Progress | None = None) -> "tuple[sitk.Image, list[str]]":
        """Read the voxels, int16 or float32, and return what was noticed with them."""


@dataclass(frozen=True)
class Series:
    """An ordered, geometry-checked set of the image instances of one series."""

    instances: tuple[Instance, ...]  # in the order of the slices
    slices: tuple[Slice, ...]  # ordered along the slice normal (row direction x column direction)
    grid: Grid
    warnings: tuple[str, ...] = ()  # remarks that do not stand in the way
    volume: tuple[str, ...] = ()  # ``KEY=VALUE`` by which it was taken out of a series of several volumes

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return self.text("SeriesInstanceUID")

    def text(self, keyword: str) -> str:
        """Return an attribute of the first instance as text; empty where it is absent."""
        return self.instances[0].text(keyword)

    def image(self, progress: Progress | None = None) -> "tuple[sitk.Image, list[str]]":
        """Voxels in place (LPS, mm), rescaled (HU for CT), int16 or float32, and warnings; InputError if damaged."""
        # SimpleITK takes a tenth of a second to import, and headers are read without it.
        from NativeDLLib.source.pixels import read_image

        image, notes = read_image(self.instances, self.slices, progress or Progress())
        return self.grid.apply(image), notes

    @classmethod
    def read(cls, paths: Sequence[Path], uid: str | None = None, volume: Sequence[str] = ()) -> "Series":
        """Find a series in files and in folders, which are searched at any depth. `uid` is needed where there is more
        than one, `volume` has ``KEY=VALUE`` of attributes that tell one volume where the series is several. InputError
        where there is no such series, or it cannot be segmented truthfully; `SeveralVolumesError` where it is several
        volumes.
        """
        found = scan(paths)
        where = str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths"
        instances = found.choose(uid, where)
        try:
            return cls.of(instances, found.warnings, volume)
        except InputError as error:
            if found.damaged and not isinstance(error, SeveralVolumesError):
                raise InputError(f"{error}; {found.damaged[0]}", error.hint) from error
            raise

    @classmethod
    def of(cls, instances: Sequence[Instance], warnings: Sequence[str] = (), volume: Sequence[str] = ()) -> "Series":
        """Series of instances of one UID, or one volume of it; see `read`. InputError tells all that is wrong."""
        where = f"series {instances[0].text('SeriesInstanceUID') or 'without UID'} ({instances[0].path.parent})"
        instances = of_volume(instances, volume, where)
        localizers = [instance for instance in instances if instance.is_localizer]
        if 0 < len(localizers) < len(instances):
            rest = [instance for instance in instances if not instance.is_localizer]
            named = ", ".join(instance.path.name for instance in localizers[:5])
            left_out = f"{where}: {len(localizers)} localizer(s) among {len(instances)} instances left out: {named}"
            try:
                return cls.of(rest, [*warnings, left_out], volume)
            except SeveralVolumesError:
                raise
            # Where the others are no regular grid either, the series as a whole says what is wrong with it.
            except InputError:
                pass
        check_images(instances, where)
        slices = [s for s in slices_of(instances) if all(fits(instances[s.instance], s.frame, key) for key in volume)]
        multiframe = instances[0].is_multiframe
        if multiframe and len(instances) > 1 and not _is_concatenation(instances):
            refuse_several(instances, slices, where)
            raise InputError(f"{where}: is spread over {len(instances)} multi-frame instances; one can be segmented")
        total = instances[0].text("InConcatenationTotalNumber")
        if multiframe and total.isdigit() and int(total) > len(instances):
            raise InputError(f"{where}: has {len(instances)} of the {total} parts of a concatenation")
        notes = [*warnings, *([] if multiframe else check_rescaling(instances, where)), *_check_text(instances[0])]
        header = instances[0].dataset
        order, grid, problems = arrange(slices, int(header.Columns), int(header.Rows))
        if localizers:
            problems.insert(0, f"{len(localizers)} of {len(instances)} instances are localizers")
        if problems or grid is None:
            refuse_several(instances, slices, where)
            raise InputError(f"{where}: cannot be segmented truthfully: {'; '.join(problems)}{_tilt_note(instances)}")
        ordered = tuple(slices[i] for i in order)
        if not multiframe:
            instances = [instances[s.instance] for s in ordered]
            ordered = tuple(replace(s, instance=i) for i, s in enumerate(ordered))
        return cls(tuple(instances), ordered, grid, tuple(notes), tuple(volume))


@dataclass(frozen=True)
class Plane:
    """One slice of a series: between its pixels and places in the patient (PS3.3 C.7.6.2.1.1)."""

    index: int  # of the slice in its series, from 0 along the normal
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None  # Frame Number, from 1, in a multi-frame instance; else None
    origin: Points  # centre of the first pixel (x, y, z) in mm
    axes: Points  # steps to the next pixel along a row, and down a column: two rows of (x, y, z) in mm

    @classmethod
    def of(cls, series: Series, index: int) -> "Plane":
        """Return the plane of a slice."""
        piece = series.slices[index]
        instance = series.instances[piece.instance]
        between_rows, between_columns = piece.pixel_spacing
        return cls(
            index,
            instance.sop_class,
            instance.text("SOPInstanceUID"),
            piece.frame + 1 if instance.is_multiframe else None,
            np.array(piece.position, float),
            np.reshape(np.array(piece.orientation, float), (2, 3)) * [[between_columns], [between_rows]],
        )

    @cached_property
    def normal(self) -> Points:
        """Unit vector, row direction x column direction."""
        normal = np.cross(*self.axes)
        return np.asarray(normal / np.linalg.norm(normal), float)

    def to_patient(self, pixels: Points) -> Points:
        """Return where pixels (n, 2), column then row, are in the patient: (n, 3), mm."""
        return self.origin + pixels @ self.axes

    def to_pixels(self, points: Points) -> Points:
        """Return the pixels (n, 2), column then row, over which points (n, 3) lie."""
        return np.asarray((points - self.origin) @ np.linalg.pinv(self.axes), float)

    def heights(self, points: Points) -> Points:
        """Return how far points (n, 3) lie off the plane, along its normal, in mm."""
        return np.asarray((points - self.origin) @ self.normal, float)


def _is_concatenation(instances: Sequence[Instance]) -> bool:
    """Tell whether multi-frame instances are all parts of one (PS3.3 C.7.6.16.2.2.4); a part alone is refused."""
    of = {(i.text("ConcatenationUID"), i.text("InConcatenationTotalNumber")) for i in instances}
    parts = {i.text("InConcatenationNumber") for i in instances}
    return of == {(instances[0].text("ConcatenationUID"), str(len(parts)))} and len(parts) == len(instances)


def _check_text(first: Instance) -> list[str]:
    if is_readable(first.dataset):
        return []
    declared = "\\".join(declared_terms(first.dataset)) or "none"
    return [
        f"{first.path}: names and other text are in no character set that it declares ({declared}): they may look "
        "wrong, and are taken over byte for byte"
    ]


def _tilt_note(instances: Sequence[Instance]) -> str:
    try:
        tilt = number(instances[0].dataset, "GantryDetectorTilt", instances[0].path)
    except InputError:
        tilt = None
    return f" (its header says GantryDetectorTilt {tilt:g} degrees)" if tilt else ""
