"""Gates of a result: each finding warns, and none changes or withholds the result.

A model gives a mask for any image. The gates look for faults that a radiologist notices at a glance: nothing found, an
implausible volume, a mask that ends where the images end, an organ on the wrong side of the body, and values that are
no Hounsfield units. The registry entry, never the code, says what is plausible for a segment.
"""
