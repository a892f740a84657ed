"""From an image to what a network takes, and from its logits back to labels on the image's own grid.

Both ways go through the full affine: the network's grid is an image with a place in the patient like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.errors import InputError
from NativeDLLib.inference.network import Floats
from NativeDLLib.registry.entry import InputContract

Labels = npt.NDArray[np.uint16]
_SLAB = 16


@dataclass(frozen=True)
class Prepared:
    """A volume ready for the network.

    Attributes
    ----------
    volume
        Array (channels, z, y, x), float32.
    grid
        The same grid as an image without content, in place in the patient.
    source
        The image's own grid, to go back to.
    fill
        What stands for nothing, such as air, in `volume`.
    reflect
        Whether slices that a patch lacks are those of `volume`, reflected, and not `fill`.
    """

    volume: Floats
    grid: sitk.Image
    source: sitk.Image
    fill: float
    reflect: bool = False


def prepare(image: sitk.Image, contract: InputContract) -> Prepared:
    """Orient, resample and normalise an image as a registry entry says.

    Parameters
    ----------
    image
        Rescaled values (HU for CT), in place in the patient.
    contract
        The entry's input contract, with orientation and spacing.

    Raises
    ------
    InputError
        Where the image is thinner than a voxel of the network, or constant where it is to be normalised by itself.
    """
    assert contract.spacing is not None
    assert contract.orientation is not None
    oriented = sitk.DICOMOrient(image, contract.orientation)
    resampled = resample(oriented, contract.spacing[::-1])
    values: Floats = sitk.GetArrayFromImage(resampled).astype(np.float32, copy=False)
    low = float(values.min())
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
    grid, source = _empty(resampled), _empty(image)
    return Prepared(values[None], grid, source, (low - mean) / std, contract.padding == "reflect")


def restore(logits: npt.NDArray[Any], prepared: Prepared) -> Labels:
    """Map logits onto the source grid and take the most likely class of each voxel.

    Parameters
    ----------
    logits
        Array (classes, z, y, x) on the network's grid.
    prepared
        What `prepare` returned.

    Returns
    -------
    ndarray
        Class indices (z, y, x) on the source grid. Logits are interpolated linearly; voxels beyond the network's
        outermost centres take the nearest value. No more than a few slices of one class are held at the source's
        resolution.
    """
    channels = [sitk.GetImageFromArray(values.astype(np.float32, copy=False)) for values in logits]
    for channel in channels:
        channel.CopyInformation(prepared.grid)
    source = prepared.source
    labels = np.zeros(source.GetSize()[::-1], np.uint16)
    resampler = sitk.ResampleImageFilter()
    resampler.SetOutputDirection(source.GetDirection())
    resampler.SetOutputSpacing(source.GetSpacing())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.UseNearestNeighborExtrapolatorOn()
    for start in range(0, len(labels), _SLAB):
        slab = labels[start : start + _SLAB]
        resampler.SetSize((*source.GetSize()[:2], len(slab)))
        resampler.SetOutputOrigin(source.TransformIndexToPhysicalPoint((0, 0, start)))
        best = sitk.GetArrayFromImage(resampler.Execute(channels[0]))
        for index, channel in enumerate(channels[1:], 1):
            mapped = sitk.GetArrayFromImage(resampler.Execute(channel))
            slab[mapped > best] = index
            np.maximum(best, mapped, out=best)
    return labels


def resample(image: sitk.Image, spacing: tuple[float, ...]) -> sitk.Image:
    """Resample an image linearly to a spacing (x, y, z) in mm over the same extent, as float32.

    Where a voxel becomes at least twice as large, whole blocks of source voxels are averaged first: linear
    interpolation alone would look at two of them and keep the noise.
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


def _empty(image: sitk.Image) -> sitk.Image:
    """Return an image's grid. One byte a voxel is what SimpleITK needs to carry it."""
    grid = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    grid.CopyInformation(image)
    return grid
