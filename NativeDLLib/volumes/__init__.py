"""Volumes in files that are not DICOM: images to segment, and segmentations as Slicer keeps them.

They come from anywhere: what a file claims to hold is checked before memory is taken for it.
"""

from NativeDLLib.volumes.image_file import ImageFile
from NativeDLLib.volumes.seg_nrrd import write_image, write_seg_nrrd

__all__ = ["ImageFile", "write_image", "write_seg_nrrd"]
