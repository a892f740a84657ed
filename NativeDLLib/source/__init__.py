"""Sources: DICOM series and image files, their geometry checked before their voxels are read."""

from NativeDLLib.source.geometry import Grid
from NativeDLLib.source.image_file import ImageFile
from NativeDLLib.source.series import Series

__all__ = ["Grid", "ImageFile", "Series"]
