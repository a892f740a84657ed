"""From an image to the input of a network, and from its logits back to labels on the image's own grid.

Both ways go through the full affine: the network's grid is an image with a place in the patient like any other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools, Floats, Labels, box_of, in_threads
from NativeDLLib.core.errors import InputError
from NativeDLLib.inference.label_maker import Axis, LabelMaker
from NativeDLLib.inference.network import ArrayOrTensor
from NativeDLLib.registry.entry import Channel, InputContract

_BLOCK_MM = 9.0
# Lungs are below, but no patch lies in them alone; a table's shell is thin and hardly counts in the mean of a block.
_TISSUE_HU = -300.0
_AIR_HU = -800.0


@dataclass(frozen=True)
class Body:
    """Blocks (z, y, x) of a volume that hold tissue. ``shape`` are the voxels (z, y, x) of the volume that patches are
    cut from, over the same extent.
    """

    blocks: Bools
    shape: tuple[int, ...]

    @classmethod
    def find(cls, values: Array, spacing: tuple[float, ...], shape: tuple[int, ...]) -> "Body | None":
        """Tissue in Hounsfield units (z, y, x) with their spacing in mm, for a volume of another shape. None where
        nothing has the values of air, so that it cannot be told from the body.
        """
        steps = [max(1, round(_BLOCK_MM / size)) for size in spacing]
        starts = [np.arange(0, count, step) for count, step in zip(values.shape, steps, strict=True)]

        def of_slab(start: int) -> tuple[float, Floats]:
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


@dataclass(frozen=True)
class Prepared:
    """A volume ready for the network."""

    volume: Floats  # (channels, z, y, x)
    grid: sitk.Image  # grid of the volume as an image without content, in place in the patient
    oriented: sitk.Image  # voxels of the image with their axes in the network's order
    source: sitk.Image  # image to whose grid the way back leads
    fill: Floats  # value of empty space, such as air, in each channel of `volume`
    reflect: bool = False  # whether slices that a patch lacks are those of `volume`, reflected, and not `fill`
    body: Body | None = None  # blocks of a CT with tissue; None where they are not known
    properties: Mapping[str, Any] = field(default_factory=dict)


def prepare(image: sitk.Image, contract: InputContract) -> Prepared:
    """Orient, resample and normalise an image (HU for CT) as an entry's input contract says. InputError where the image
    is thinner than a voxel of the network, or constant where it is normalised by itself.
    """
    assert contract.spacing is not None
    assert contract.orientation is not None
    oriented = sitk.DICOMOrient(image, contract.orientation)
    resampled = resample_linearly(oriented, contract.spacing[::-1])
    values: Floats = sitk.GetArrayFromImage(resampled).astype(np.float32, copy=False)
    body = Body.find(values, contract.spacing, values.shape) if contract.modality == "CT" else None
    count = len(contract.channels)
    volume = values[None] if count == 1 else values[None].repeat(count, axis=0)
    fill = [_normalise(part, channel) for part, channel in zip(volume, contract.channels, strict=True)]
    grid, turned = empty(resampled), empty(oriented)
    return Prepared(volume, grid, turned, image, np.array(fill, np.float32), contract.padding == "reflect", body)


def _normalise(values: Floats, channel: Channel) -> float:
    """Bring values to those of a channel, in place; return that of empty space, which is the lowest."""
    low = float(values.min())
    if channel.clip is not None:
        np.clip(values, *channel.clip, out=values)
        low = channel.clip[0]
    if channel.normalization == "none":
        mean, std = 0.0, 1.0
    elif isinstance(channel.normalization, str):
        mean, std = float(values.mean()), float(values.std())
        if std == 0:
            raise InputError("the image has the same value everywhere: there is nothing to segment")
    else:
        mean, std = channel.normalization["mean"], channel.normalization["std"]
    values -= np.float32(mean)
    values /= np.float32(std)
    return (low - mean) / std


def restore(planes: Iterable[ArrayOrTensor], prepared: Prepared) -> Labels:
    """Class indices (z, y, x) on the source grid, the most likely of each voxel. `planes` are logits (classes, z, y, x)
    that follow each other along z, together of the network's grid. They are interpolated linearly; voxels beyond the
    network's outermost centres take the nearest value.
    """
    maker = LabelMaker([_axis(prepared, axis) for axis in (2, 1, 0)])
    for logits in planes:
        maker.add(logits)
    return turned_back(maker.labels, prepared)


def turned_back(values: Labels, prepared: Prepared) -> Labels:
    """Return an array (z, y, x) on the oriented grid on the source's own: its axes in another order or direction."""
    source, oriented = (np.reshape(i.GetDirection(), (3, 3)) for i in (prepared.source, prepared.oriented))
    turn = np.rint(source.T @ oriented)
    along = np.abs(turn).argmax(axis=1)[::-1]
    result = values.transpose([2 - axis for axis in along])
    signs = [turn[2 - i, axis] for i, axis in enumerate(along)]
    return np.ascontiguousarray(np.flip(result, tuple(i for i, sign in enumerate(signs) if sign < 0)))


def _axis(prepared: Prepared, axis: int) -> Axis:
    """Return how an axis (0 is x) of the oriented grid is read from the network's, by their affines."""
    count = prepared.oriented.GetSize()[axis]
    index, ends = [0, 0, 0], []
    for index[axis] in (0, count):
        point = prepared.oriented.TransformContinuousIndexToPhysicalPoint([float(i) for i in index])
        ends.append(prepared.grid.TransformPhysicalPointToContinuousIndex(point)[axis])
    positions = np.linspace(ends[0], ends[1], count, endpoint=False)
    return Axis.linear(positions, prepared.grid.GetSize()[axis])


def resample_linearly(image: sitk.Image, spacing: tuple[float, ...]) -> sitk.Image:
    """Image resampled linearly to a spacing (x, y, z) in mm over the same extent, as float32. Where a voxel becomes at
    least twice as large, whole blocks of source voxels are averaged first: linear interpolation alone would look at two
    of them and keep the noise.
    """
    shrink = [max(1, int(new / old + 0.01)) for new, old in zip(spacing, image.GetSpacing(), strict=True)]
    shrink = [min(factor, size) for factor, size in zip(shrink, image.GetSize(), strict=True)]
    both = zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)
    size = [max(1, round(n * old / new)) for n, old, new in both]
    # The first voxel's centre moves, as the outer face of the image stays where it is.
    half = [(new - old) / 2 for new, old in zip(spacing, image.GetSpacing(), strict=True)]
    offset = np.array(image.GetDirection()).reshape(3, 3) @ np.array(half)
    origin = tuple(float(v) for v in np.array(image.GetOrigin()) + offset)
    if max(shrink) > 1:
        # BinShrink averages in the pixel type it is given, and would truncate whole numbers.
        image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), shrink)
    place = (origin, spacing, image.GetDirection())
    kind = {"outputPixelType": sitk.sitkFloat32, "useNearestNeighborExtrapolator": True}
    return sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, *place, **kind)


def empty(image: sitk.Image) -> sitk.Image:
    """Return an image's grid. One byte a voxel is what SimpleITK needs to carry it."""
    grid = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    grid.CopyInformation(image)
    return grid
