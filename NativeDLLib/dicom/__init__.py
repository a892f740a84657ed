"""Series read into images with checked geometry, and segmentations written as DICOM SEG.

A series is refused rather than guessed at: every slice must have a place, the places must form a regular orthogonal
grid, and everything that a SEG has to refer to must be there.
"""

from NativeDLLib.dicom.geometry import Grid
from NativeDLLib.dicom.series import Series

__all__ = ["Grid", "Series"]
