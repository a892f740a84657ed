"""What a physician approves of an automatic result, and the DICOM SEG of it.

A mask that was edited comes back from Slicer on a grid that may be any; it is put on the slices of the source by the
full affine. How a segment came about is found by comparing voxels, not taken from what the file says.
"""

from NativeDLLib.review.approve import Approval, approve

__all__ = ["Approval", "approve"]
