"""Volume files: format, size and place are looked at before the voxels are read; a source that no SEG can refer to."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import utf8_name
from NativeDLLib.core.progress import Progress
from NativeDLLib.source import Grid
from NativeDLLib.source.geometry import FARTHEST_MM, FINEST_MM, LARGEST_MM

_FORMATS = {"NrrdImageIO": "NRRD", "NiftiImageIO": "NIfTI", "MetaImageIO": "MetaImage"}
# Axes are written with few decimals: one thousandth is 0.06 degrees.
_COSINE_TOLERANCE = 1e-3
_SMALL = (sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16)


def open_volume(path: Path) -> sitk.ImageFileReader:
    """Reader of a NRRD, NIfTI or MetaImage file, with everything but the voxels read. A volume of three axes and any
    number of components that fits in memory; InputError for anything else.
    """
    if not path.is_file():
        raise InputError(f"{path}: does not exist")
    found = sitk.ImageFileReader.GetImageIOFromFileName(utf8_name(path))
    if found == "GDCMImageIO":
        raise InputError(f"{path}: is DICOM; as that, a SEG can refer to it", hint="give it with --input")
    if found not in _FORMATS:
        raise InputError(f"{path}: is not a volume that can be read ({', '.join(_FORMATS.values())})")
    # ITK's remarks would stand between our lines; what matters in them comes as an error.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(utf8_name(path))
    reader.SetImageIO(found)
    try:
        reader.ReadImageInformation()
    # SimpleITK knows no other exception, whatever went wrong.
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    if reader.GetDimension() != 3:
        raise InputError(f"{path}: has {reader.GetDimension()} axes; a volume has 3")
    bits = re.search(r"(\d+)-bit", sitk.GetPixelIDValueAsString(reader.GetPixelIDValue()))
    value = int(bits.group(1)) / 8 if bits else 8
    # A copy is made of what is read.
    needed = 2 * value * reader.GetNumberOfComponents() * np.prod(reader.GetSize(), dtype=float)
    free = psutil.virtual_memory().available
    if needed > free:
        size = " x ".join(str(n) for n in reader.GetSize())
        room = f"{needed / 2**30:.1f} GiB, of which {free / 2**30:.1f} are free"
        raise InputError(f"{path}: claims {size} voxels: {room}")
    return reader


def read_volume(path: Path, reader: sitk.ImageFileReader) -> sitk.Image:
    """Voxels of a file that `open_volume` has opened; InputError where they are not all there."""
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, error) from error


def checked_grid(path: Path, volume: sitk.ImageFileReader) -> Grid:
    """Grid of a volume; InputError where its axes are not perpendicular, or its size or position is implausible."""
    size, spacing, origin = volume.GetSize(), np.array(volume.GetSpacing()), np.array(volume.GetOrigin())
    axes = np.array(volume.GetDirection()).reshape(3, 3)
    if not np.isfinite([*spacing, *origin, *axes.ravel()]).all():
        raise InputError(f"{path}: its spacing, origin or axes are not numbers")
    off = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if off > _COSINE_TOLERANCE:
        raise InputError(f"{path}: its axes are not perpendicular (off by {off:.3f}); resample it to one without shear")
    if spacing.min() < FINEST_MM or (spacing * size).max() > LARGEST_MM or np.abs(origin).max() > FARTHEST_MM:
        shown = " x ".join(f"{n} of {s:g} mm" for n, s in zip(size, spacing, strict=True))
        place = ", ".join(f"{v:g}" for v in origin)
        raise InputError(f"{path}: {shown} at {place} mm: no patient is like that")
    return Grid(size, volume.GetSpacing(), volume.GetOrigin(), volume.GetDirection())


def _unreadable(path: Path, error: RuntimeError) -> InputError:
    if "orthonormal" in str(error):
        return InputError(f"{path}: its axes are not perpendicular; resample it to one without shear")
    return InputError(f"{path}: cannot be read: it is damaged, breaks off, or has a form that is not read here")


@dataclass(frozen=True)
class ImageFile:
    """A NRRD, NIfTI or MetaImage file; see `Source`. Its values are taken as they are: HU for CT."""

    path: Path
    modality: str
    grid: Grid
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path, modality: str) -> "ImageFile":
        """Image of a file, voxels not read yet; InputError for other than one volume of one value a voxel."""
        reader = open_volume(path)
        kind = reader.GetPixelIDValue()
        if reader.GetNumberOfComponents() != 1 or kind in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
            raise InputError(f"{path}: has more than one value in a voxel (colours or vectors); one is needed")
        return cls(path, modality, checked_grid(path, reader))

    def text(self, keyword: str) -> str:
        """Return the modality; nothing else is known."""
        return self.modality if keyword == "Modality" else ""

    def image(self, progress: Progress | None = None) -> tuple[sitk.Image, list[str]]:
        """Voxels of the file; InputError where they are not all there, or not all finite."""
        image = read_volume(self.path, open_volume(self.path))
        if image.GetPixelID() in _SMALL:
            return sitk.Cast(image, sitk.sitkInt16), []
        image = sitk.Cast(image, sitk.sitkFloat32)
        values = sitk.GetArrayViewFromImage(image)
        bad = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in values)
        if bad:
            raise InputError(f"{self.path}: {bad} of its {values.size} values are not finite numbers")
        return image, []
