"""Frames that a decoder makes: compressed ones, and uncompressed ones of unusual kinds."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from NativeDLLib.core.deflated import inflated
from NativeDLLib.source.codestream import Codestream, codestream
from NativeDLLib.source.header import Instance, number
from NativeDLLib.source.native import without_unused_bits


def decoded_frame(instance: Instance, frame: int, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Stored values (rows, columns) of the frame of an index, without what lies above the bits stored, whatever the
    transfer syntax; `shape` is what the image declares. InputError where no decoder here reads the transfer syntax, or
    the compressed frame is not of the image. Where the pixel data are damaged, decoders raise anything.
    """
    dataset, syntax = instance.dataset, instance.dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        stored = _decompressed(instance, frame, shape)
    elif syntax.is_deflated:
        with instance.path.open("rb") as stream:
            whole = pydicom.dcmread(inflated(stream, (instance.pixel_start or 0) + (instance.pixel_bytes or 0)))
        stored = np.asarray(pixel_array(whole, index=frame, raw=True))
    else:
        stored = np.asarray(pixel_array(instance.path, index=frame, raw=True, transfer_syntax_uid=syntax))
    if stored.dtype.kind not in "iu":
        return stored
    return without_unused_bits(stored if stored.flags.writeable else stored.copy(), int(dataset.BitsStored))


def _decompressed(instance: Instance, frame: int, shape: tuple[int, int]) -> npt.NDArray[Any]:
    dataset, syntax = instance.dataset, instance.dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise instance.error(f"pixel data ({syntax.name}) are compressed in a way that no decoder here reads") from None
    frames = int(number(dataset, "NumberOfFrames", instance.path) or 1)
    with instance.path.open("rb") as stream:
        stream.seek(instance.pixel_start or 0)
        offsets = [dataset.get(f"ExtendedOffsetTable{kind}") for kind in ("", "Lengths")]
        piece = get_frame(
            stream, frame, number_of_frames=frames, extended_offsets=(offsets[0], offsets[1]) if all(offsets) else None
        )
    declared = codestream(piece, syntax)
    if declared is not None:
        _check(declared, instance, shape)
    # One frame is decoded as an image of its own: the file is not parsed again for each of many.
    description: Any = {
        "rows": shape[0],
        "columns": shape[1],
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "photometric_interpretation": dataset.PhotometricInterpretation,
        "bits_allocated": dataset.BitsAllocated,
        "bits_stored": dataset.BitsStored,
        "pixel_representation": dataset.PixelRepresentation,
    }
    stored, _ = decoder.as_array(encapsulate([piece]), index=0, raw=True, **description)
    if declared is not None and not declared.signed:
        _check_sign(stored, declared.bits, instance)
    return stored


def _check(declared: Codestream, instance: Instance, shape: tuple[int, int]) -> None:
    allocated = int(instance.dataset.BitsAllocated)
    if (declared.rows, declared.columns, declared.samples) != (*shape, 1) or declared.bits > allocated:
        name = instance.dataset.file_meta.TransferSyntaxUID.name
        raise instance.error(
            f"pixel data ({name}) are {declared.rows} rows x {declared.columns} columns of {declared.samples} x "
            f"{declared.bits} bits, the image is {shape[0]} rows x {shape[1]} columns of 1 x {allocated}"
        )


def _check_sign(stored: npt.NDArray[Any], coded: int, instance: Instance) -> None:
    """Refuse signed values coded in fewer bits than are stored: whether their highest bit is a sign is unknown."""
    kept = int(instance.dataset.BitsStored)
    if stored.dtype.kind == "i" and coded < kept and ((stored >> (coded - 1)) & 1).any():
        name = instance.dataset.file_meta.TransferSyntaxUID.name
        raise instance.error(
            f"pixel data ({name}) have {coded} bits without a sign, the image has {kept} with one: "
            "what they mean is unknown"
        )
