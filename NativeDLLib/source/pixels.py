"""Pixel data of the slices of a series, decoded and put through the Modality LUT."""

import ctypes
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.source.decoded import decoded_frame, inflated_file, native_frame
from NativeDLLib.source.geometry import Slice
from NativeDLLib.source.header import Instance, all_numbers, number

_STDERR = 2
# The file descriptor is the process's: two readers at a time would give it back in the wrong order.
_one_at_a_time = threading.Lock()


@contextmanager
def _decoder_remarks() -> Iterator[list[str]]:
    """Keep what is written to the process's stderr during the block, and give our words for it when it ends."""
    remarks: list[str] = []
    with _one_at_a_time, tempfile.TemporaryFile() as kept:
        try:
            before = os.dup(_STDERR)
        except OSError:
            # Without a stderr, as in a program with windows only, nothing is written to it either.
            yield remarks
            return
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield remarks
        finally:
            os.dup2(before, _STDERR)
            os.close(before)
        if kept.seek(0, os.SEEK_END):
            remarks.append("a decoder says that pixel data may be damaged: look at the images themselves")


_AIR_HU = -1024
# Padding that stands for nothing lies outside what tissue can have; padding inside that range would be made up.
_PADDING_HU = (-1000, 3071)


def read_image(
    instances: Sequence[Instance], slices: Sequence[Slice], progress: Progress
) -> tuple[sitk.Image, list[str]]:
    """Values of the slices, rescaled (HU for CT), without a place yet, and warnings. int16 where all are whole numbers
    that fit, else float32. Padding is air in a CT and the lowest other value elsewhere. InputError where pixel data are
    missing, damaged, of the wrong size, in colour, or in an unknown compression.
    """
    reading = _Reading(instances, slices, progress)
    with _decoder_remarks() as remarks, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled = (reading.fill(np.int16) if reading.whole else None) or reading.fill(np.float32)
    assert filled is not None
    image, voxels = filled
    _fill_padding(voxels, reading.paddings)
    return image, list(dict.fromkeys(reading.notes + remarks))


class _Reading:
    """Slices being read: what is found on the way besides their values."""

    def __init__(self, instances: Sequence[Instance], slices: Sequence[Slice], progress: Progress) -> None:
        rescaling = [value for s in slices for value in (s.slope, s.intercept)]
        self.whole = all(value.is_integer() and abs(value) < 2**30 for value in rescaling)
        self.paddings: list[npt.NDArray[np.bool_] | None] = [None] * len(slices)
        self.notes: list[str] = []
        self._instances, self._slices, self._progress = instances, slices, progress
        self._shape = int(instances[0].dataset.Rows), int(instances[0].dataset.Columns)
        self._decoding = threading.Lock()
        self._inflating, self._inflated = threading.Lock(), dict[int, bytes | None]()
        self._is_ct = instances[0].text("Modality") == "CT"

    def fill(self, dtype: npt.DTypeLike) -> tuple[sitk.Image, npt.NDArray[Any]] | None:
        """Return an image of this type and its voxels, or None where it is int16 and some values do not fit."""
        first = self._values(0)
        # Only now: what a damaged header says of the size may be more than any memory.
        kind = sitk.sitkInt16 if dtype == np.int16 else sitk.sitkFloat32
        image = sitk.Image((*self._shape[::-1], len(self._slices)), kind)
        view = sitk.GetArrayViewFromImage(image)
        # The image's own memory, which must not be used once the image is gone, or was given other voxels.
        memory = (ctypes.c_ubyte * view.nbytes).from_address(view.ctypes.data)
        voxels = np.frombuffer(memory, view.dtype).reshape(view.shape)

        def put(index: int, values: npt.NDArray[Any]) -> bool:
            if voxels.dtype == np.int16 and values.dtype != np.int16 and not _fits(values.min(), values.max()):
                return False
            voxels[index] = values
            return True

        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            others = pool.map(lambda index: put(index, self._values(index)), range(1, len(self._slices)))
            return (image, voxels) if put(0, first) and all(others) else None

    def _values(self, index: int) -> npt.NDArray[Any]:
        self._progress.check()
        plane = self._slices[index]
        instance = self._instances[plane.instance]
        stored = self._stored(plane)
        padding = _padding(instance, stored)
        values = _rescaled(stored, plane, self.whole)
        if not self.whole and not np.isfinite(values).all():
            raise instance.error("its rescaled values are too large to be numbers")
        if padding is not None and padding.any():
            if not self._is_ct:
                self.paddings[index] = padding
                return values
            levels = values[padding]
            tissue = levels[(levels > _PADDING_HU[0]) & (levels < _PADDING_HU[1])]
            if tissue.size:
                note = f"PixelPaddingValue stands for {tissue[0]:.0f} HU, which tissue can have: left as it is"
                self.notes.append(note)
            else:
                values[padding] = _AIR_HU
        return values

    def _stored(self, plane: Slice) -> npt.NDArray[Any]:
        instance = self._instances[plane.instance]
        if not instance.dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            return self._decode(plane)
        # A damaged stream can end the process in its decoder: whoever follows the events knows then which file it was.
        # One at a time, as decoders hold Python's lock anyhow.
        with self._decoding:
            self._progress.show({"event": "decode", "file": str(instance.path)})
            return self._decode(plane)

    def _decode(self, plane: Slice) -> npt.NDArray[Any]:
        """Return the stored values of a slice."""
        instance, shape = self._instances[plane.instance], self._shape
        syntax = instance.dataset.file_meta.TransferSyntaxUID
        if instance.pixel_bytes is not None:
            _check_length(instance, instance.pixel_bytes, shape)
        try:
            held = self._held(plane.instance)
            stored = native_frame(instance, plane.frame, held)
            if stored is None:
                stored = decoded_frame(instance, plane.frame, shape, held)
        except InputError:
            raise
        # A damaged stream makes the decoders raise anything; the file and its encoding are what the user can act on.
        except Exception as error:
            raise instance.error(f"pixel data ({syntax.name}) cannot be decoded: they are damaged") from error
        if stored.shape != shape:
            raise instance.error(f"pixel data are {stored.shape} instead of {shape[0]} rows x {shape[1]} columns")
        return stored

    def _held(self, index: int) -> bytes | None:
        """Return a file inflated, where it is deflated; one of many frames is inflated once."""
        if not self._instances[index].is_multiframe:
            return inflated_file(self._instances[index])
        with self._inflating:
            if index not in self._inflated:
                self._inflated[index] = inflated_file(self._instances[index])
        return self._inflated[index]


def _fits(lowest: int, highest: int) -> bool:
    return lowest >= -(2**15) and highest < 2**15


def _rescaled(stored: npt.NDArray[Any], plane: Slice, whole: bool) -> npt.NDArray[Any]:
    """Rescaled values of stored ones, which may be changed: int16 if all are whole and fit, else int64 or float32."""
    if not whole:
        return stored.astype(np.float32) * np.float32(plane.slope) + np.float32(plane.intercept)
    slope, intercept = int(plane.slope), int(plane.intercept)
    ends = [int(end) * slope + intercept for end in (stored.min(), stored.max())]
    if not _fits(min(ends), max(ends)):
        return stored.astype(np.int64) * slope + intercept
    # Sixteen bits are enough although they overflow on the way: modulo 2**16 the result is the right one, and it fits.
    values = stored.view(np.int16) if stored.dtype in (np.uint16, np.int16) else stored.astype(np.int16)
    if slope != 1:
        values *= np.int64(slope).astype(np.int16)
    if intercept:
        values += np.int64(intercept).astype(np.int16)
    return values


def _check_length(instance: Instance, given: int, shape: tuple[int, int]) -> None:
    frames = int(number(instance.dataset, "NumberOfFrames", instance.path) or 1)
    bits = int(number(instance.dataset, "BitsAllocated", instance.path) or 0)
    row = shape[1] * bits // 8
    # Some writers pad the end a little; with a whole row left over, Rows or Columns are not what they were.
    if not 0 <= given - frames * shape[0] * row < row:
        wanted = f"{frames} x {shape[0]} rows x {shape[1]} columns of {bits} bits"
        raise instance.error(f"pixel data have {given} bytes, which are not {wanted}")


def _padding(instance: Instance, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return which pixels are padding (PS3.3 C.7.5.1.1.2), or None where the image declares none."""
    # The attribute has one value, but some writers give one for each kind of padding.
    given = all_numbers(instance.dataset, "PixelPaddingValue", instance.path)
    values = [_as_stored(value, instance) for value in given]
    if not values:
        return None
    last = number(instance.dataset, "PixelPaddingRangeLimit", instance.path)
    if last is not None:
        bounds = values[0], _as_stored(last, instance)
        return np.asarray((stored >= min(bounds)) & (stored <= max(bounds)))
    if len(values) == 1:
        return np.asarray(stored == values[0])
    return np.isin(stored, values)


def _as_stored(value: float, instance: Instance) -> float:
    """Read a padding value that was written unsigned in a signed image, or the other way round, as the pixels are."""
    bits = int(instance.dataset.get("BitsAllocated") or 16)
    signed = instance.dataset.get("PixelRepresentation") == 1
    if signed and value >= 2 ** (bits - 1):
        return value - 2.0**bits
    return value + 2.0**bits if not signed and value < 0 else value


def _fill_padding(voxels: npt.NDArray[Any], paddings: Sequence[npt.NDArray[np.bool_] | None]) -> None:
    padded = [(plane, padding) for plane, padding in zip(voxels, paddings, strict=True) if padding is not None]
    values = [plane[~padding].min() for plane, padding in padded if not padding.all()]
    if padded and not values:
        raise InputError("every pixel of the series is padding: there is nothing to segment")
    for plane, padding in padded:
        plane[padding] = min(values)
