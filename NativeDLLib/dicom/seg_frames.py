"""The frames of a Segmentation: which segments are in which planes, and their pixels packed (PS3.3 C.8.20.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One frame: the number of its segment, 0 for all of them in a label map, and the index of its plane."""

    segment: int
    plane: int


def frames_of(labels: Array, count: int, labelmap: bool) -> list[Frame]:
    """List the frames that are not empty; where all are, list every one, as a Segmentation has at least one.

    Parameters
    ----------
    labels
        Array (z, y, x) of Segment Numbers, or (z, y, x, segment) of booleans.
    count
        How many segments there are.
    labelmap
        Whether a frame holds all segments, or one.

    Returns
    -------
    list of Frame
        Segment by segment, each from the last plane to the first: so does highdicom, whose normal points that way.
    """
    present = [_segments_in(plane, count) for plane in labels]
    if not any(map(len, present)):
        present = [np.arange(1, count + 1)] * len(labels)
    planes = range(len(labels))[::-1]
    if labelmap:
        return [Frame(0, plane) for plane in planes if len(present[plane])]
    members = [set(segments.tolist()) for segments in present]
    return [Frame(number, plane) for number in range(1, count + 1) for plane in planes if number in members[plane]]


def label_pixels(labels: Array, frames: Sequence[Frame], dtype: npt.DTypeLike) -> bytes:
    """Return the Pixel Data of a label map."""
    return _even(b"".join(labels[frame.plane].astype(dtype, copy=False).tobytes() for frame in frames))


def binary_pixels(labels: Array, frames: Sequence[Frame]) -> bytes:
    """Return the Pixel Data of binary frames: one bit a pixel, without a gap from frame to frame (PS3.5 8.1.1)."""
    parts = []
    rest = np.empty(0, bool)
    for frame in frames:
        plane = labels[frame.plane]
        bits = (plane == frame.segment if plane.ndim == 2 else plane[..., frame.segment - 1]).ravel()
        if rest.size or bits.size % 8:
            bits = np.concatenate([rest, bits])
            bits, rest = np.split(bits, [bits.size // 8 * 8])
        parts.append(np.packbits(bits, bitorder="little").tobytes())
    parts.append(np.packbits(rest, bitorder="little").tobytes())
    return _even(b"".join(parts))


def overlap(labels: Array) -> bool:
    """Tell whether any pixel is of more than one segment."""
    return labels.ndim == 4 and any(bool((plane.sum(axis=-1) > 1).any()) for plane in labels)


def _segments_in(plane: Array, count: int) -> npt.NDArray[np.intp]:
    if plane.ndim == 3:
        return np.flatnonzero(plane.any(axis=(0, 1))) + 1
    # Most rows of most planes are empty, and counting is slow.
    rows = np.flatnonzero(plane.any(axis=1))
    if not rows.size:
        return rows
    return np.flatnonzero(np.bincount(plane[rows[0] : rows[-1] + 1].ravel(), minlength=count + 1)[1:]) + 1


def _even(pixels: bytes) -> bytes:
    return pixels + bytes(len(pixels) % 2)
