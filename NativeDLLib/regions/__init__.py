"""Regions: closed lines around the segments on each slice, for a physician to validate or reject.

A model always runs on the whole series, also where one slice is looked at: a network of volumes needs them, and one of
planes gives the same.

A region with holes is one line, with channels to the holes (the "keyhole" technique of PS3.3 C.8.8.6.3): it is shown,
judged and stored as one thing.
"""
