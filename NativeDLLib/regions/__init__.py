"""Regions: closed lines around what a segmentation found on each slice, for a physician to validate or reject.

A model is run on the whole series, also where one slice is looked at: a network of volumes has nothing to go by on one
slice, and one of planes gives the same there. Its regions on the slice are then those of the result.

What has holes is one line, with channels to the holes (the "keyhole" technique of PS3.3 C.8.8.6.3): so a region is
shown, judged and stored as one thing.
"""

from NativeDLLib.regions.file import read_regions, write_regions
from NativeDLLib.regions.region import Region, RegionSet, Status

__all__ = ["Region", "RegionSet", "Status", "read_regions", "write_regions"]
