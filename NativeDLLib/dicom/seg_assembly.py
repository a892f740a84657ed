"""The frames of a Segmentation with their functional groups (PS3.3 A.51.3 to A.51.5, C.7.6.16, C.7.6.17).

highdicom and pydicom take a data set apart for each of thousands of frames, of which little but numbers differs. They
are written here as bytes that pydicom stores as they are and reads like those of any file.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import highdicom as hd
import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import generate_uid
from pydicom.valuerep import DS

from NativeDLLib.core.arrays import Array
from NativeDLLib.dicom.derived import SourceHeader, dataset_of
from NativeDLLib.dicom.seg_frames import Frame, binary_pixels, frames_of, label_pixels, overlap
from NativeDLLib.source.series import Series

_LONGEST_SHORT = 0xFFFF
# What frames are indexed by: the attribute, the functional group that holds it, and its description (PS3.3 C.7.6.17).
_BY_SEGMENT = ("ReferencedSegmentNumber", "SegmentIdentificationSequence", "Referenced Segment Number")
_BY_PLACE = ("ImagePositionPatient", "PlanePositionSequence", "Image Position Patient")


def add_frames(dataset: Dataset, header: SourceHeader, labels: Array, count: int, *, buffered: bool) -> None:
    """Add the frames of a label map (z, y, x), or of `count` masks (z, y, x, segment); `buffered` as for the SEG."""
    series, labelmap = header.series, dataset.SegmentationType == "LABELMAP"
    frames = frames_of(labels, count, labelmap)
    _describe_pixels(dataset, header, labels.shape, 1 if not labelmap else 8 if count < 256 else 16)
    dataset.SegmentsOverlap = "YES" if overlap(labels) else "NO"
    dataset.NumberOfFrames = len(frames)
    if (labelmap or count == 1) and _is_regular(series, {frame.plane for frame in frames}):
        dataset.DimensionOrganizationType = "3D"
    _add_dimensions(dataset, [_BY_PLACE] if labelmap else [_BY_SEGMENT, _BY_PLACE])
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(series)]
    if labelmap:
        dataset.PixelPaddingValue = 0
        pixels = label_pixels(labels, frames, f"<u{dataset.BitsAllocated // 8}")
    else:
        pixels = binary_pixels(labels, frames)
    dataset.PixelData = pixels if buffered else pixels.read()
    correct_ambiguous_vr(dataset, True)
    references = [_reference(series, index) for index in range(len(series.instances))]
    _set_sequence(dataset, "SourceImageSequence", references)
    referred = _sequence("ReferencedInstanceSequence", references)
    series_uid = _element("SeriesInstanceUID", "UI", series.uid.encode())
    _set_sequence(dataset, "ReferencedSeriesSequence", [referred + series_uid])
    _set_sequence(dataset, "PerFrameFunctionalGroupsSequence", _functional_groups(series, frames))


def _describe_pixels(dataset: Dataset, header: SourceHeader, shape: Sequence[int], bits: int) -> None:
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.Rows, dataset.Columns = shape[1:3]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.PixelRepresentation = 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    # What was lost in the images was lost for what is derived from them (PS3.3 C.7.6.1.1.5).
    dataset.LossyImageCompression = "00"
    header.put(dataset, ["LossyImageCompression"])
    if dataset.LossyImageCompression == "01":
        header.put(dataset, ["LossyImageCompressionRatio", "LossyImageCompressionMethod"])


def _add_dimensions(dataset: Dataset, dimensions: Sequence[tuple[str, str, str]]) -> None:
    uid = generate_uid()
    dataset.DimensionOrganizationSequence = [dataset_of(DimensionOrganizationUID=uid)]
    dataset.DimensionIndexSequence = []
    for pointer, group, description in dimensions:
        index = dataset_of(DimensionOrganizationUID=uid, DimensionDescriptionLabel=description)
        index.DimensionIndexPointer, index.FunctionalGroupPointer = Tag(pointer), Tag(group)
        dataset.DimensionIndexSequence.append(index)


def _shared_groups(series: Series) -> Dataset:
    """Functional groups that all frames share: the grid's spacing, and the orientation of the planes."""
    between_columns, between_rows, distance = series.grid.spacing
    thickness = series.slices[0].thickness or 0
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=(between_rows, between_columns),
        slice_thickness=thickness if thickness > 0 else distance,
        spacing_between_slices=distance,
    )
    orientation = hd.PlaneOrientationSequence("PATIENT", series.slices[0].orientation)
    return dataset_of(PixelMeasuresSequence=measures, PlaneOrientationSequence=orientation)


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


def _functional_groups(series: Series, frames: Sequence[Frame]) -> list[bytes]:
    planes = {frame.plane for frame in frames}
    ranks = {plane: rank for rank, plane in enumerate(sorted(planes, reverse=True), 1)}
    derivations = dict(zip(planes, _derivations(series, planes), strict=True))
    positions = {plane: _position(series, plane) for plane in planes}
    items = []
    for frame in frames:
        place = [frame.segment, ranks[frame.plane]] if frame.segment else [ranks[frame.plane]]
        index = _element("DimensionIndexValues", "UL", struct.pack(f"<{len(place)}L", *place))
        item = derivations[frame.plane] + _sequence("FrameContentSequence", [index]) + positions[frame.plane]
        if frame.segment:
            number = _element("ReferencedSegmentNumber", "US", struct.pack("<H", frame.segment))
            item += _sequence("SegmentIdentificationSequence", [number])
        items.append(item)
    return items


def _derivations(series: Series, planes: Iterable[int]) -> Iterator[bytes]:
    """Give the Derivation Image Sequence of each plane: that it is a segmentation of its own source."""
    purpose = hd.sr.CodedConcept.from_code(codes.cid7202.SourceImageForImageProcessingOperation)
    derived = hd.sr.CodedConcept.from_code(codes.cid7203.SegmentationImageDerivation)
    # Written out once, for all planes have these.
    last_of_source = _elements(dataset_of(SpatialLocationsPreserved="YES", PurposeOfReferenceCodeSequence=[purpose]))
    last = _elements(dataset_of(DerivationCodeSequence=[derived]))
    numbered = series.instances[0].is_multiframe
    for plane in planes:
        piece = series.slices[plane]
        reference = _reference(series, piece.instance)
        if numbered:
            reference += _element("ReferencedFrameNumber", "IS", str(piece.frame + 1).encode())
        sources = _sequence("SourceImageSequence", [reference + last_of_source])
        yield _sequence("DerivationImageSequence", [sources + last])


def _position(series: Series, plane: int) -> bytes:
    value = "\\".join(str(DS(number, auto_format=True)) for number in series.slices[plane].position)
    return _sequence("PlanePositionSequence", [_element("ImagePositionPatient", "DS", value.encode())])


def _reference(series: Series, index: int) -> bytes:
    instance = series.instances[index]
    return b"".join(
        _element(f"Referenced{keyword}", "UI", instance.text(keyword).encode())
        for keyword in ("SOPClassUID", "SOPInstanceUID")
    )


def _set_sequence(dataset: Dataset, keyword: str, items: Sequence[bytes]) -> None:
    value, tag = _sequence_value(items), Tag(keyword)
    dataset[tag] = RawDataElement(tag, "SQ", len(value), value, 0, False, True)


def _element(keyword: str, vr: str, value: bytes) -> bytes:
    """Return an element whose VR has a length of two bytes; text that is odd is padded."""
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    if len(value) > _LONGEST_SHORT:
        raise ValueError(f"a {vr} of {len(value)} bytes does not fit its length of two bytes")
    return _tag(keyword) + struct.pack("<2sH", vr.encode(), len(value)) + value


def _sequence(keyword: str, items: Iterable[bytes]) -> bytes:
    """Return a sequence of items, each given as its elements in the order of their tags."""
    value = _sequence_value(items)
    return _tag(keyword) + struct.pack("<2sHI", b"SQ", 0, len(value)) + value


def _sequence_value(items: Iterable[bytes]) -> bytes:
    """Return the items of a sequence without its tag and length."""
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content for content in items)


def _elements(dataset: Dataset) -> bytes:
    """Return all elements of a data set that holds nothing but ASCII."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    return stream.getvalue()


@cache
def _tag(keyword: str) -> bytes:
    tag = Tag(keyword)
    return struct.pack("<HH", tag.group, tag.element)
