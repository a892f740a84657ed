"""A volume without DICOM origin as a source: it can be segmented, but no SEG can refer to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.source import Grid
from NativeDLLib.source.volume_file import checked_grid, open_volume, read_volume

_SMALL = (sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16)


@dataclass(frozen=True)
class ImageFile:
    """A NRRD, NIfTI or MetaImage file; see `Source`. Its values are taken as they are: HU for CT."""

    path: Path
    modality: str
    grid: Grid
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path, modality: str) -> "ImageFile":
        """Image of a file, its voxels not read yet. InputError where it is not one volume of one value a voxel on an
        orthogonal grid.
        """
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

    def image_of(self, voxels: npt.NDArray[Any]) -> sitk.Image:
        """Return an array (z, y, x) on the file's grid as an image."""
        return self.grid.apply(sitk.GetImageFromArray(voxels))
