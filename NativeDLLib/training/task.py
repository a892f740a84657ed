"""What the making of patches needs to know of a training."""

from __future__ import annotations

from typing import Protocol


class Task(Protocol):
    """The part of a training's configuration that shapes its patches."""

    @property
    def patch(self) -> tuple[int, int, int]:
        """Patch size (z, y, x) in voxels."""

    @property
    def clip(self) -> tuple[float, float]:
        """Bounds of the Hounsfield units that the network sees."""

    @property
    def mean(self) -> float:
        """Input contract: ``(clip(HU) - mean) / std``."""

    @property
    def std(self) -> float:
        """See `mean`."""

    @property
    def reflect(self) -> bool:
        """Input contract: whether an image with fewer slices than a patch is continued by them, reflected."""

    @property
    def vary_shape(self) -> bool:
        """Whether the structure, the only one, is given other shapes in training."""

    @property
    def synthesis(self) -> float:
        """How likely a patch is drawn from its labels alone."""

    @property
    def slabs(self) -> float:
        """How likely a patch is cut to a slab."""

    @property
    def mirror(self) -> bool:
        """Whether left and right may be swapped in training: for symmetric structures only."""
