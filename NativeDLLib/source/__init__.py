"""Sources: DICOM series and image files, their geometry checked before their voxels are read.

SimpleITK, a tenth of a second and 100 MB, is imported only where voxels or an image file are read.
"""

from NativeDLLib.source.geometry import Grid
from NativeDLLib.source.series import Series

__all__ = ["Grid", "Series"]
