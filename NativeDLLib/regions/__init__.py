"""Regions: closed lines around the segments on each slice, for a physician to validate or reject.

A model always runs on the whole series, also where one slice is looked at: a network of volumes needs them, and one of
planes gives the same.
"""
