"""Segmentations as Slicer keeps them."""

from NativeDLLib.volumes.seg_nrrd import write_image, write_seg_nrrd

__all__ = ["write_image", "write_seg_nrrd"]
