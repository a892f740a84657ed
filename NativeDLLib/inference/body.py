"""Where the body is in a CT, so that patches which hold only the air around it need no look."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.arrays import box_of
from NativeDLLib.core.threads import in_threads

_BLOCK_MM = 9.0
# Lungs are below, but no patch lies in them alone; a table's shell is thin and hardly counts in the mean of a block.
_TISSUE_HU = -300.0
_AIR_HU = -800.0


@dataclass(frozen=True)
class Body:
    """Blocks (z, y, x) of a volume that hold tissue. ``shape`` are the voxels (z, y, x) of the volume that patches are
    cut from, over the same extent.
    """

    blocks: npt.NDArray[np.bool_]
    shape: tuple[int, ...]

    @classmethod
    def find(cls, values: npt.NDArray[Any], spacing: tuple[float, ...], shape: tuple[int, ...]) -> "Body | None":
        """Tissue in Hounsfield units (z, y, x) with their spacing in mm, for a volume of another shape. None where
        nothing has the values of air, so that it cannot be told from the body.
        """
        steps = [max(1, round(_BLOCK_MM / size)) for size in spacing]
        starts = [np.arange(0, count, step) for count, step in zip(values.shape, steps, strict=True)]

        def of_slab(start: int) -> tuple[float, npt.NDArray[np.float32]]:
            slab = values[start : start + steps[0]]
            sums = slab.sum(axis=0, dtype=np.float32)
            for axis in (0, 1):
                sums = np.add.reduceat(sums, starts[axis + 1], axis=axis)
            return float(slab.min()), sums

        slabs = in_threads(of_slab, starts[0].tolist())
        if not slabs or min(least for least, _ in slabs) > _AIR_HU:
            return None
        counts = [np.diff([*s, n]).astype(np.float32) for s, n in zip(starts, values.shape, strict=True)]
        voxels = counts[0][:, None, None] * counts[1][:, None] * counts[2]
        means = np.stack([sums for _, sums in slabs]) / voxels
        return cls(means > _TISSUE_HU, shape)

    def is_air(self, window: tuple[slice, ...]) -> bool:
        """Tell whether a patch, given in voxels (z, y, x) of the volume, holds no tissue."""
        part = []
        for axis, size, count in zip(window, self.shape, self.blocks.shape, strict=True):
            # Blocks of the border are smaller: one more on either side covers that.
            start = int(np.floor(max(0, axis.start) / size * count)) - 1
            part.append(slice(max(0, start), int(np.ceil(axis.stop / size * count)) + 1))
        return not self.blocks[*part].any()

    def extent(self) -> tuple[slice, ...]:
        """Return the part of the volume (z, y, x), in its voxels, that holds all tissue, or all of it without any."""
        box = box_of(self.blocks)
        if box is None:
            return tuple(slice(0, size) for size in self.shape)
        part = []
        for held, size, count in zip(box, self.shape, self.blocks.shape, strict=True):
            start, stop = int((held.start - 1) / count * size), int(np.ceil((held.stop + 1) / count * size))
            part.append(slice(max(0, start), min(size, stop)))
        return tuple(part)
