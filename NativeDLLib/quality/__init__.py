"""Gates that a result passes before anybody sees it: each finding warns, and none changes or withholds the result.

A model gives a mask for whatever it is fed. What a radiologist would notice at a glance is looked for here: nothing
found, a volume no such organ has, a mask that ends where the images end, an organ on the wrong side of the body, and
values that are no Hounsfield units. What is plausible for a segment stands in the registry entry, never in code.
"""
