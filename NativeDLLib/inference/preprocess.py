"""From an image to the input of a network, and from its logits back to labels on the image's own grid.

Both ways go through the full affine: the network's grid is an image with a place in the patient like any other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Floats, Labels
from NativeDLLib.core.errors import InputError
from NativeDLLib.inference.body import Body
from NativeDLLib.inference.label_maker import Axis, LabelMaker
from NativeDLLib.inference.network import ArrayOrTensor
from NativeDLLib.registry.entry import InputContract


@dataclass(frozen=True)
class Prepared:
    """A volume ready for the network."""

    volume: Floats  # (channels, z, y, x)
    grid: sitk.Image  # grid of the volume as an image without content, in place in the patient
    oriented: sitk.Image  # voxels of the image with their axes in the network's order
    source: sitk.Image  # image to whose grid the way back leads
    fill: float  # value of empty space, such as air, in `volume`
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
    low = float(values.min())
    body = Body.find(values, contract.spacing, values.shape) if contract.modality == "CT" else None
    if contract.clip is not None:
        np.clip(values, *contract.clip, out=values)
        low = contract.clip[0]
    if contract.normalization == "none":
        mean, std = 0.0, 1.0
    elif isinstance(contract.normalization, str):
        mean, std = float(values.mean()), float(values.std())
        if std == 0:
            raise InputError("the image has the same value everywhere: there is nothing to segment")
    else:
        mean, std = contract.normalization["mean"], contract.normalization["std"]
    values -= np.float32(mean)
    values /= np.float32(std)
    grid, turned = empty(resampled), empty(oriented)
    return Prepared(values[None], grid, turned, image, (low - mean) / std, contract.padding == "reflect", body)


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
    extent = [n * s for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    size = [max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True)]
    # The first voxel's centre moves, as the outer face of the image stays where it is.
    half = [(new - old) / 2 for new, old in zip(spacing, image.GetSpacing(), strict=True)]
    offset = np.array(image.GetDirection()).reshape(3, 3) @ np.array(half)
    origin = tuple(float(v) for v in np.array(image.GetOrigin()) + offset)
    if max(shrink) > 1:
        # BinShrink averages in the pixel type it is given, and would truncate whole numbers.
        image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), shrink)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(size)
    resampler.SetOutputSpacing(spacing)
    resampler.SetOutputOrigin(origin)
    resampler.SetOutputDirection(image.GetDirection())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.UseNearestNeighborExtrapolatorOn()
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    return resampler.Execute(image)


def empty(image: sitk.Image) -> sitk.Image:
    """Return an image's grid. One byte a voxel is what SimpleITK needs to carry it."""
    grid = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    grid.CopyInformation(image)
    return grid
