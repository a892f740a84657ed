"""A Segmentation of many frames made from one of a single frame.

highdicom makes and checks every attribute, but it and pydicom take a data set apart for each of thousands of frames,
of which little but numbers differs. So it makes one frame, and the others are written here after its pattern, as
bytes that pydicom stores as they are and reads like those of any file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import highdicom as hd
import numpy as np
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import Tag

from NativeDLLib.dicom.explicit import element, elements, sequence, sequence_value
from NativeDLLib.dicom.seg_frames import Array, Frame, binary_pixels, frames_of, label_pixels, overlap
from NativeDLLib.dicom.series import Series


def with_all_frames(specimen: Dataset, series: Series, labels: Array, count: int) -> Dataset:
    """Return a Segmentation with the frames of a label map, or of masks that overlap.

    Parameters
    ----------
    specimen
        A Segmentation with one frame, made from the series' first instance.
    series
        The source.
    labels
        Array (z, y, x) of Segment Numbers, or (z, y, x, segment) of booleans, in the order of the series' slices.
    count
        How many segments there are.
    """
    labelmap = specimen.SegmentationType == "LABELMAP"
    frames = frames_of(labels, count, labelmap)
    result = Dataset()
    result.update(specimen)
    result.file_meta, result.preamble = specimen.file_meta, bytes(128)
    result.SegmentsOverlap = "YES" if overlap(labels) else "NO"
    result.NumberOfFrames = len(frames)
    result.pop("DimensionOrganizationType", None)
    if (labelmap or count == 1) and _is_regular(series, {frame.plane for frame in frames}):
        result.DimensionOrganizationType = "3D"
    if labelmap:
        result.PixelData = label_pixels(labels, frames, f"<u{result.BitsAllocated // 8}")
    else:
        result.PixelData = binary_pixels(labels, frames)
    # What is raw is stored as it is only in the encoding that it came in.
    result.set_original_encoding(False, True, convert_encodings(result.get("SpecificCharacterSet")))
    correct_ambiguous_vr(result, True)
    references = [_reference(series, index) for index in range(len(series.instances))]
    _set_sequence(result, "SourceImageSequence", references)
    referred = sequence("ReferencedInstanceSequence", references)
    series_uid = element("SeriesInstanceUID", "UI", series.uid.encode())
    _set_sequence(result, "ReferencedSeriesSequence", [referred + series_uid])
    pattern = specimen.PerFrameFunctionalGroupsSequence[0]
    _set_sequence(result, "PerFrameFunctionalGroupsSequence", _functional_groups(pattern, series, frames))
    return result


def _is_regular(series: Series, planes: set[int]) -> bool:
    """Tell whether the frames are a volume in the order of their source, as highdicom tells it."""
    chosen = sorted((series.slices[plane] for plane in planes), key=lambda s: (s.instance, s.frame))
    if len(chosen) < 2:
        return False
    spacing, _ = hd.spatial.get_volume_positions(
        image_positions=np.array([plane.position for plane in chosen]),
        image_orientation=list(series.slices[0].orientation),
        sort=False,
    )
    return spacing is not None and spacing > 0


def _functional_groups(pattern: Dataset, series: Series, frames: Sequence[Frame]) -> list[bytes]:
    numbered = "SegmentIdentificationSequence" in pattern
    planes = {frame.plane for frame in frames}
    ranks = {plane: rank for rank, plane in enumerate(sorted(planes, reverse=True), 1)}
    derivations = dict(zip(planes, _derivations(pattern, series, planes), strict=True))
    positions = {plane: _position(series, plane) for plane in planes}
    items = []
    for frame in frames:
        place = [frame.segment, ranks[frame.plane]] if frame.segment else [ranks[frame.plane]]
        index = element("DimensionIndexValues", "UL", struct.pack(f"<{len(place)}L", *place))
        item = derivations[frame.plane] + sequence("FrameContentSequence", [index]) + positions[frame.plane]
        if numbered:
            number = element("ReferencedSegmentNumber", "US", struct.pack("<H", frame.segment))
            item += sequence("SegmentIdentificationSequence", [number])
        items.append(item)
    return items


def _derivations(pattern: Dataset, series: Series, planes: Iterable[int]) -> Iterator[bytes]:
    """Give the Derivation Image Sequence of each plane: the pattern's, with the plane's own source."""
    derivation = pattern.DerivationImageSequence[0]
    source = derivation.SourceImageSequence[0]
    numbered = "ReferencedFrameNumber" in source
    preserved, code = Dataset(), Dataset()
    for keyword in ("SpatialLocationsPreserved", "PurposeOfReferenceCodeSequence"):
        preserved[keyword] = source[keyword]
    code["DerivationCodeSequence"] = derivation["DerivationCodeSequence"]
    # Written out once, for all planes have these.
    last_of_source, last = elements(preserved), elements(code)
    for plane in planes:
        piece = series.slices[plane]
        reference = _reference(series, piece.instance)
        if numbered:
            reference += element("ReferencedFrameNumber", "IS", str(piece.frame + 1).encode())
        sources = sequence("SourceImageSequence", [reference + last_of_source])
        yield sequence("DerivationImageSequence", [sources + last])


def _position(series: Series, plane: int) -> bytes:
    numbers = hd.PlanePositionSequence("PATIENT", series.slices[plane].position)[0].ImagePositionPatient
    value = "\\".join(str(number) for number in numbers)
    return sequence("PlanePositionSequence", [element("ImagePositionPatient", "DS", value.encode())])


def _reference(series: Series, index: int) -> bytes:
    instance = series.instances[index]
    return b"".join(
        element(f"Referenced{keyword}", "UI", instance.text(keyword).encode())
        for keyword in ("SOPClassUID", "SOPInstanceUID")
    )


def _set_sequence(dataset: Dataset, keyword: str, items: Sequence[bytes]) -> None:
    value, tag = sequence_value(items), Tag(keyword)
    dataset[tag] = RawDataElement(tag, "SQ", len(value), value, 0, False, True)
