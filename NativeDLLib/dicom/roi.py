"""One region of interest in the three modules of an RT Structure Set that tell of it (PS3.3 C.8.8.5, 6 and 8)."""

from collections.abc import Mapping
from dataclasses import dataclass

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as DicomCode

from NativeDLLib.core.arrays import Points
from NativeDLLib.dicom.provenance import AlgorithmType
from NativeDLLib.registry.entry import Code, Segment
from NativeDLLib.source.plane import Plane

_LONGEST_LABEL = 16
# SNOMED CT, Anatomical Structure: what is no structure of the body is no ORGAN; what it is else, nobody said.
_ANATOMY = ("SCT", ("123037004", "91723000"))


@dataclass(frozen=True)
class Contour:
    """A closed line on a slice: points (n, 3) in mm, LPS, the first not repeated; holes joined by keyholes."""

    slice_index: int
    points: Points


@dataclass(frozen=True)
class Roi:
    """A segment, how it came about, and its contours."""

    segment: Segment
    algorithm_type: AlgorithmType
    contours: tuple[Contour, ...]


def roi_item(roi: Roi, number: int, frame_of_reference: str, described: str) -> Dataset:
    """Return the item of the Structure Set ROI Sequence."""
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = frame_of_reference
    item.ROIName = roi.segment.name
    item.ROIGenerationAlgorithm = roi.algorithm_type
    if roi.algorithm_type != "MANUAL":
        item.ROIGenerationDescription = described
    return item


def contour_item(roi: Roi, number: int, planes: Mapping[int, Plane]) -> Dataset:
    """Return the item of the ROI Contour Sequence; `planes` are those of the slices, by their index."""
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(roi.segment.color)
    item.ContourSequence = []
    for count, contour in enumerate(roi.contours, 1):
        line = Dataset()
        line.ContourNumber = count
        line.ContourImageSequence = [image_item(planes[contour.slice_index])]
        line.ContourGeometricType = "CLOSED_PLANAR"
        line.NumberOfContourPoints = len(contour.points)
        line.ContourData = [_decimal(value) for value in contour.points.ravel().tolist()]
        item.ContourSequence.append(line)
    return item


def observation_item(roi: Roi, number: int, interpreter: str) -> Dataset:
    """Return the item of the RT ROI Observations Sequence."""
    segment = roi.segment
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.ROIObservationLabel = segment.name[:_LONGEST_LABEL].strip()
    scheme, values = _ANATOMY
    is_organ = segment.category.scheme == scheme and segment.category.value in values
    item.RTROIInterpretedType = "ORGAN" if is_organ else ""
    item.ROIInterpreter = interpreter
    item.SegmentedPropertyCategoryCodeSequence = [_code(segment.category)]
    kind = _code(segment.type)
    if segment.type_modifier:
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code(segment.type_modifier)]
    item.RTROIIdentificationCodeSequence = [kind]
    if segment.region:
        region = _code(segment.region)
        if segment.region_modifier:
            region.AnatomicRegionModifierSequence = [_code(segment.region_modifier)]
        item.AnatomicRegionSequence = [region]
    return item


def image_item(plane: Plane) -> Dataset:
    """Return the item of a Contour Image Sequence."""
    item = Dataset()
    item.ReferencedSOPClassUID = plane.sop_class_uid
    item.ReferencedSOPInstanceUID = plane.sop_instance_uid
    if plane.frame is not None:
        item.ReferencedFrameNumber = plane.frame
    return item


def _code(code: Code) -> Dataset:
    item: Dataset = hd.sr.CodedConcept.from_code(DicomCode(code.value, code.scheme, code.meaning))
    return item


def _decimal(value: float) -> str:
    """Return a coordinate in mm as a Decimal String, which has 16 characters at most, to a tenth of a micrometre."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
