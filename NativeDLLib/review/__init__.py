"""Approval of an automatic result by a physician, and the DICOM SEG of it.

An edited mask comes back from Slicer on any grid; it is put on the slices of the source by the full affine. The origin
of a segment (automatic, corrected, drawn) is found by comparing voxels, not taken from the file.
"""
