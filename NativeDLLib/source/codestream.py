"""The size that a compressed frame itself declares: decoders believe it, and write past the image where it is wrong."""

from dataclasses import dataclass
from math import ceil

from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

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
