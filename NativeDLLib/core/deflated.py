"""Deflated DICOM files (PS3.5 A.5), inflated no further than asked: a file of 1.5 MB may hold 1.5 GB."""

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

# Bytes at the start of a file that hold its transfer syntax.
START = 2048
# More than thousands of functional groups take.
LONGEST_HEADER = 8 * 2**20
# The two UIDs have the same length when the shorter one is padded as UIDs are.
_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
_PIECE = 2**20
# VRs whose length has four bytes (PS3.5 7.1.2).
_LONG = (b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")


def inflated(stream: BinaryIO, most: int) -> BytesIO:
    """Return the beginning of a deflated file as one in Explicit VR Little Endian, of `most` bytes at most. What ends
    or is damaged later is returned up to there; ValueError where nothing of it can be inflated.
    """
    result = BytesIO()
    try:
        for piece in _pieces(stream):
            result.write(piece[: most - result.tell()])
            if result.tell() >= most:
                break
    except ValueError:
        if not result.tell():
            raise
    result.seek(0)
    return result


def beginning(stream: BinaryIO) -> tuple[BinaryIO, bool]:
    """Return a stream in which the header of a DICOM file can be read safely, and whether the file is deflated."""
    start = stream.read(START)
    deflated = _DEFLATED in start[: meta_end(start)]
    stream.seek(0)
    return (inflated(stream, LONGEST_HEADER) if deflated else stream), deflated


def holds(stream: BinaryIO, count: int) -> bool:
    """Tell whether a deflated file has at least `count` bytes once inflated, and none of them is damaged."""
    try:
        for piece in _pieces(stream):
            count -= len(piece)
            if count <= 0:
                break
    except ValueError:
        return False
    return count <= 0


def meta_end(start: bytes) -> int:
    """Return where the elements of the file meta information end (PS3.10 7.1), whatever it says of its own length."""
    at = 132 if start[128:132] == b"DICM" else 0
    while start[at : at + 2] == b"\2\0":
        long = start[at + 4 : at + 6] in _LONG
        length = start[at + 8 : at + 12] if long else start[at + 6 : at + 8]
        at += (12 if long else 8) + int.from_bytes(length, "little")
    return at


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    stream.seek(0)
    start = stream.read(START)
    end = meta_end(start)
    if end >= len(start):
        raise ValueError("its file meta information has no end")
    yield start[:end].replace(_DEFLATED, _PLAIN)
    inflater, rest = zlib.decompressobj(-zlib.MAX_WBITS), start[end:]
    try:
        while rest:
            yield inflater.decompress(rest, _PIECE)
            rest = inflater.unconsumed_tail or (b"" if inflater.eof else stream.read(_PIECE))
    except zlib.error as error:
        raise ValueError("its deflated data are damaged") from error
    if not inflater.eof:
        raise ValueError("its deflated data break off")
