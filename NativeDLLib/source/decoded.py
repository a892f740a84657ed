"""Stored values of frames: read as they lie in the file, or decoded where they are compressed or unusual."""

from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGExtended12Bit, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from NativeDLLib.core.deflated import inflated
from NativeDLLib.source.fast_values import plain_text, plain_whole
from NativeDLLib.source.header import Instance, number

_JPEG_START, _SCAN = b"\xff\xd8", 0xDA
# Start of frame in JPEG (ISO 10918-1 table B.1) and in JPEG-LS (ISO 14495-1 C.1.1).
_FRAMES = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# Start of codestream, then the size marker (ISO 15444-1 A.4 and A.5.1).
_JPEG_2000_START = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Codestream:
    """Rows, columns and samples of a frame as its codestream declares them, and the bits and sign of a value."""

    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool


def codestream(frame: bytes, syntax: UID) -> Codestream | None:
    """Declaration of a compressed frame; None where its transfer syntax has no such declaration, as RLE. ValueError
    where the frame begins with none.
    """
    try:
        if syntax in JPEG2000TransferSyntaxes:
            return _jpeg_2000(frame)
        if syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
            return _jpeg(frame)
    except (IndexError, ValueError, ZeroDivisionError):
        raise ValueError("the compressed data do not say their size") from None
    return None


def _jpeg(frame: bytes) -> Codestream:
    at = 2 if frame[:2] == _JPEG_START else len(frame)
    while frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAMES:
            bits, rows, columns = frame[at + 4], _whole(frame, at + 5, 2), _whole(frame, at + 7, 2)
            return Codestream(rows, columns, frame[at + 9], bits, signed=False)
        if marker == _SCAN:
            break
        # A marker may be preceded by any number of fill bytes.
        at += 1 if marker == 0xFF else 2 + _whole(frame, at + 2, 2)
    raise IndexError


def _jpeg_2000(frame: bytes) -> Codestream:
    # Some writers put the codestream into a file of its own, whose boxes come first.
    at = frame.index(_JPEG_2000_START) if _JPEG_2000_START in frame[:4096] else len(frame)
    right, bottom, left, top = (_whole(frame, at + 8 + 4 * n, 4) for n in range(4))
    samples, depth, across, down = _whole(frame, at + 40, 2), *frame[at + 42 : at + 45]
    columns, rows = ceil(right / across) - ceil(left / across), ceil(bottom / down) - ceil(top / down)
    return Codestream(rows, columns, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80))


def _whole(frame: bytes, at: int, length: int) -> int:
    if at + length > len(frame):
        raise IndexError
    return int.from_bytes(frame[at : at + length], "big")


def inflated_file(instance: Instance) -> bytes | None:
    """Return a deflated file as `native_frame` and `decoded_frame` read it; None of any other."""
    if not instance.dataset.file_meta.TransferSyntaxUID.is_deflated:
        return None
    with instance.path.open("rb") as stream:
        return inflated(stream, (instance.pixel_start or 0) + (instance.pixel_bytes or 0)).getvalue()


def native_frame(instance: Instance, frame: int, held: bytes | None) -> npt.NDArray[Any] | None:
    """Stored values (rows, columns) of an uncompressed frame, exactly as pydicom's ``pixel_array`` gives them. `held`
    is what `inflated_file` returned. None where anything about the file is unusual: pydicom is to decode or refuse it.
    """
    if instance.pixel_start is None or not instance.pixel_bytes:
        return None
    number = partial(_number, instance.dataset)
    is_deflated = instance.dataset.file_meta.TransferSyntaxUID.is_deflated
    if number("SamplesPerPixel") != 1 or (is_deflated and held is None):
        return None
    meaning = plain_text(instance.dataset, "PhotometricInterpretation")
    if (meaning or instance.dataset.get("PhotometricInterpretation")) not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    rows, columns, kept = number("Rows"), number("Columns"), number("BitsStored")
    allocated, signed = number("BitsAllocated"), number("PixelRepresentation")
    if rows < 1 or columns < 1 or allocated not in (8, 16) or not 1 <= kept <= allocated or signed not in (0, 1):
        return None
    stored = np.empty((rows, columns), f"<{'ui'[signed]}{allocated // 8}")
    if not (frame + 1) * stored.nbytes <= instance.pixel_bytes < 0xFFFFFFFF:
        return None
    with instance.path.open("rb", buffering=0) if held is None else BytesIO(held) as stream:
        stream.seek(instance.pixel_start + frame * stored.nbytes)
        if stream.readinto(stored.data) != stored.nbytes:
            return None
    return without_unused_bits(stored, kept)


def without_unused_bits(stored: npt.NDArray[Any], kept: int) -> npt.NDArray[Any]:
    """Whole numbers, which may be changed, without the bits above the `kept` ones stored, of which nothing is known
    (PS3.5 8.1.1). The sign of signed values is drawn over them.
    """
    unused = 8 * stored.dtype.itemsize - kept
    if unused and stored.dtype.kind == "i":
        stored <<= unused
        stored >>= unused
    elif unused:
        stored &= stored.dtype.type(2**kept - 1)
    return stored


def _number(dataset: Dataset, keyword: str) -> int:
    """Return a whole number, or -1 where there is none."""
    value = plain_whole(dataset, keyword)
    if value is None:
        value = dataset.get(keyword)
    return value if isinstance(value, int) else -1


def decoded_frame(
    instance: Instance, frame: int, shape: tuple[int, int], held: bytes | None = None
) -> npt.NDArray[Any]:
    """Stored values (rows, columns) of the frame of an index, without what lies above the bits stored, whatever the
    transfer syntax. `shape` is what the image declares, `held` what `inflated_file` returned. InputError where no
    decoder here reads the transfer syntax, or the compressed frame is not of the image. Where the pixel data are
    damaged, decoders raise anything.
    """
    dataset, syntax = instance.dataset, instance.dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        stored = _decompressed(instance, frame, shape)
    elif held is not None:
        stored = np.asarray(pixel_array(pydicom.dcmread(BytesIO(held)), index=frame, raw=True))
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
        extended = (offsets[0], offsets[1]) if all(offsets) else None
        piece = get_frame(stream, frame, number_of_frames=frames, extended_offsets=extended)
    declared = codestream(piece, syntax)
    if declared is not None:
        _check(declared, instance, shape)
    if declared is not None and syntax == JPEGExtended12Bit and declared.bits > 8:
        raise instance.error(f"pixel data ({syntax.name}) have {declared.bits} bits, which no decoder here reads")
    # One frame is decoded as an image of its own: the file is not parsed again for each of many.
    description: Any = {"rows": shape[0], "columns": shape[1], "samples_per_pixel": 1, "number_of_frames": 1}
    description |= {"bits_allocated": dataset.BitsAllocated, "bits_stored": dataset.BitsStored}
    description["pixel_representation"] = dataset.PixelRepresentation
    description["photometric_interpretation"] = dataset.PhotometricInterpretation
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
        differ = f"have {coded} bits without a sign, the image has {kept} with one"
        raise instance.error(f"pixel data ({name}) {differ}: what they mean is unknown")
