"""The frames of a Segmentation: which segments are in which planes, and their pixels packed (PS3.3 C.8.20.2)."""

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from NativeDLLib.core.arrays import Array, in_threads

Rows = tuple[int, int | None]
Piece = bytes | memoryview

_ALL: Rows = (0, None)
# Frames that a thread packs before it takes others, and how many times as many are packed before they are given.
_FOR_ONE, _AT_ONCE = 64, 16


@dataclass(frozen=True)
class Frame:
    """One frame of a SEG."""

    segment: int  # its number; 0 for all of them in a label map
    plane: int  # index of its plane
    rows: Rows = field(default=_ALL, compare=False)  # the first that is not empty, and the one after the last


def frames_of(labels: Array, count: int, labelmap: bool) -> list[Frame]:
    """Frames that are not empty; where all are, every one, as a Segmentation has at least one. `labels` is (z, y, x) of
    Segment Numbers, or (z, y, x, segment) of booleans. Segment by segment, each from the last plane to the first: so
    does highdicom, whose normal points that way.
    """
    found = in_threads(_segments_in, labels)
    if not any(found):
        found = [dict.fromkeys(range(1, count + 1), _ALL)] * len(labels)
    planes = range(len(labels))[::-1]
    if labelmap:
        return [Frame(0, plane) for plane in planes if found[plane]]
    numbers = range(1, count + 1)
    return [Frame(n, plane, found[plane][n]) for n in numbers for plane in planes if n in found[plane]]


class _PixelStream(io.BufferedIOBase):
    """Pixel Data that is made while it is read, so that little of it is held at a time. `make` gives the pieces from
    the start, of `length` bytes together. `owner` keeps alive what the pieces are views of.
    """

    owner: object = None

    def __init__(self, make: Callable[[], Iterator[Piece]], length: int) -> None:
        self._make, self._length, self._at = make, length, 0
        self._begin()

    def _begin(self) -> None:
        self._coming, self._piece, self._start = self._make(), memoryview(b""), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True  # but what comes before where it was read to is made again

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence])
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        stop = self._length if size is None or size < 0 else min(self._at + size, self._length)
        if self._at < self._start:
            self._begin()
        parts = []
        while self._at < stop:
            end = self._start + len(self._piece)
            if end <= self._at:
                self._start, self._piece = end, memoryview(next(self._coming))
                continue
            part = self._piece[self._at - self._start : stop - self._start]
            self._at += len(part)
            parts.append(part)
        return b"".join(parts)


def label_pixels(labels: Array, frames: Sequence[Frame], dtype: npt.DTypeLike) -> _PixelStream:
    """Return the Pixel Data of a label map."""
    length = len(frames) * labels[0].size * np.dtype(dtype).itemsize

    def pieces() -> Iterator[Piece]:
        for frame in frames:
            yield labels[frame.plane].astype(dtype, copy=False).tobytes()
        yield bytes(length % 2)

    return _PixelStream(pieces, length + length % 2)


def binary_pixels(labels: Array, frames: Sequence[Frame]) -> _PixelStream:
    """Return the Pixel Data of binary frames: one bit a pixel, without a gap from frame to frame (PS3.5 8.1.1)."""
    rows, columns = labels.shape[1:3]
    length = (len(frames) * rows * columns + 15) // 16 * 2

    def packed(numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return for some frames where their first byte goes, and the bytes of their rows."""
        result = []
        for index in numbers:
            frame = frames[index]
            piece = labels[frame.plane, slice(*frame.rows)]
            bits = (piece == frame.segment if piece.ndim == 2 else piece[..., frame.segment - 1]).ravel()
            first, shift = divmod((index * rows + frame.rows[0]) * columns, 8)
            if shift:
                bits = np.concatenate([np.zeros(shift, bool), bits])
            result.append((first, np.packbits(bits, bitorder="little").tobytes()))
        return result

    def pieces() -> Iterator[Piece]:
        some = [range(start, min(start + _FOR_ONE, len(frames))) for start in range(0, len(frames), _FOR_ONE)]
        # Between what is in two frames there are less than two frames of nothing.
        nothing = memoryview(bytes(rows * columns // 4 + 2))
        # A last byte is kept back, for the next frame may begin in it.
        last, done = b"", 0
        for start in range(0, len(some), _AT_ONCE):
            for first, piece in itertools.chain.from_iterable(in_threads(packed, some[start : start + _AT_ONCE])):
                if first < done:
                    piece = bytes([last[0] | piece[0]]) + piece[1:]
                else:
                    yield last
                    yield nothing[: first - done]
                yield memoryview(piece)[:-1]
                last, done = piece[-1:], first + len(piece)
        yield last
        yield nothing[: length - done]

    return _PixelStream(pieces, length)


def overlap(labels: Array) -> bool:
    """Tell whether any pixel is of more than one segment."""
    return labels.ndim == 4 and any(bool((plane.sum(axis=-1) > 1).any()) for plane in labels)


def _segments_in(plane: Array) -> dict[int, Rows]:
    """Return the segments in a plane, each with the rows outside of which it is not."""
    if plane.ndim == 3:
        return dict.fromkeys((np.flatnonzero(plane.any(axis=(0, 1))) + 1).tolist(), _ALL)
    # Neighbours are mostly alike: it is enough to look where a row of pixels alike begins.
    pixels, columns = plane.ravel(), plane.shape[1]
    begins = np.concatenate([[0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1])
    ends = np.append(begins[1:], pixels.size)
    values = pixels[begins]
    order = np.argsort(values, kind="stable")
    numbers, starts = np.unique(values[order], return_index=True)
    firsts = begins[order[starts]] // columns
    lasts = (ends[order[np.append(starts[1:], len(order)) - 1]] - 1) // columns
    rows = zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)
    return {number: extent for number, extent in zip(numbers.tolist(), rows, strict=True) if number}
