"""Sources: DICOM series and image files, their geometry checked before their voxels are read.

SimpleITK, a tenth of a second and 100 MB, is imported only where voxels or an image file are read.
"""

from NativeDLLib.source.geometry import Grid
from NativeDLLib.source.series import Plane, Series, Source

__all__ = ["Grid", "Plane", "Series", "Source"]
