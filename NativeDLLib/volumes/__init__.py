"""Segmentations as Slicer keeps them."""
