"""Reading an RT Structure Set, ours or another system's: its regions of interest and their contours."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from NativeDLLib.core.arrays import Points
from NativeDLLib.core.errors import InputError
from NativeDLLib.dicom.rtstruct import STRUCTURE_SET
from NativeDLLib.registry.entry import Code, Segment
from NativeDLLib.source.geometry import FARTHEST_MM
from NativeDLLib.source.header import DamageError, read_header, text

# The last is how the standard writes it (PS3.3 C.8.8.6.3), the second how its defined terms once did.
_CLOSED = ("CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR")
_KINDS = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
_UNDEFINED = 0xFFFFFFFF
_GREY = (128, 128, 128)
# What Slicer takes a segment for of which nothing is known.
_TISSUE = Code("85756007", "SCT", "Tissue")
_LONGEST_NAME = 64


@dataclass(frozen=True)
class StoredRoi:
    """A region of interest in a structure set."""

    segment: Segment  # name and codes; its number is the ROI's place in the structure set, from 1
    algorithm_type: str  # AUTOMATIC, SEMIAUTOMATIC or MANUAL; the latter where none is stated
    contours: tuple[Points, ...]  # closed lines, each (n, 3) in mm, LPS
    ignored: int  # number of contours that are no closed lines or have no area, with fewer than three places


@dataclass(frozen=True)
class StructureSet:
    """Content of a structure set."""

    label: str
    series_uid: str  # UID of the first series that it refers to; empty where it refers to none
    frames_of_reference: frozenset[str]  # UIDs of its coordinates' frames of reference
    approval: str  # APPROVED, UNAPPROVED, REJECTED, or empty
    rois: tuple[StoredRoi, ...]  # regions of interest in the order of the Structure Set ROI Sequence
    unnumbered: int = 0  # number of ROIs and sets of contours without a number of their own: whose they are is unknown


def read_structure_set(path: Path) -> StructureSet:
    """Content of an RT Structure Set; InputError where the file is none, or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: does not exist")
    instance = read_header(path)
    if instance is None or instance.text("SOPClassUID") != STRUCTURE_SET:
        raise InputError(f"{path}: is not an RT Structure Set")
    try:
        return _structure_set(instance.dataset)
    # Elements are parsed when they are looked at, and pydicom lets pass whatever its parser stumbles over.
    except Exception as error:
        reason = f" ({error})" if isinstance(error, DamageError) else ""
        raise InputError(f"{path}: is a damaged RT Structure Set{reason}; export it again") from error


def _structure_set(dataset: Dataset) -> StructureSet:
    # A file that breaks off, between two elements or within one, is read without complaint.
    for tag in list(dataset.keys()):
        element: Any = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and len(element.value or b"") < element.length < _UNDEFINED:
            raise DamageError("it breaks off")
    for keyword in ("StructureSetROISequence", "ROIContourSequence"):
        if keyword not in dataset:
            raise DamageError(f"it has no {keyword}")
    numbers = Counter(text(item, "ROINumber") for item in dataset.StructureSetROISequence or [])
    drawn_as = Counter(text(item, "ReferencedROINumber") for item in dataset.ROIContourSequence or [])
    contours = _by_number(dataset.ROIContourSequence)
    observed = _by_number(dataset.get("RTROIObservationsSequence"))
    rois, frames, unnumbered = [], set(), 0
    for place, item in enumerate(dataset.StructureSetROISequence or [], 1):
        frames.add(text(item, "ReferencedFrameOfReferenceUID"))
        given = text(item, "ROINumber")
        # Two of one number: the contours of one would get the name of the other.
        if not given or numbers[given] > 1 or drawn_as[given] > 1:
            unnumbered += 1
            continue
        number = int(given)
        drawn = contours.get(number, Dataset())
        segment = _segment(place, item, drawn, observed.get(number, Dataset()))
        told = text(item, "ROIGenerationAlgorithm")
        lines = list(drawn.get("ContourSequence") or [])
        closed = [line for line in lines if text(line, "ContourGeometricType") in _CLOSED]
        with_area = [line for line in closed if "ContourData" in line and line["ContourData"].VM >= 9]
        points = tuple(_points(line, segment.name) for line in with_area)
        rois.append(StoredRoi(segment, told if told in _KINDS else "MANUAL", points, len(lines) - len(points)))
    label, approval = text(dataset, "StructureSetLabel"), text(dataset, "ApprovalStatus")
    unnumbered += len(dataset.ROIContourSequence or []) - len(contours)
    return StructureSet(label, _series_uid(dataset), frozenset(frames), approval, tuple(rois), unnumbered)


def _by_number(items: Any) -> dict[int, Dataset]:
    """Return items by the number of the ROI that they are of; those without a number are of none."""
    return {int(item.ReferencedROINumber): item for item in items or [] if text(item, "ReferencedROINumber")}


def _series_uid(dataset: Dataset) -> str:
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                return text(series, "SeriesInstanceUID")
    return ""


def _segment(place: int, item: Dataset, drawn: Dataset, observed: Dataset) -> Segment:
    name = " ".join(text(item, "ROIName").split())[:_LONGEST_NAME] or f"ROI {place}"
    category = _code(observed.get("SegmentedPropertyCategoryCodeSequence"))
    kinds = observed.get("RTROIIdentificationCodeSequence")
    kind = _code(kinds)
    if category is None or kind is None:
        return Segment(place, place, name, _color(drawn), _TISSUE, _TISSUE, None, None, None)
    modifier = _code(kinds[0].get("SegmentedPropertyTypeModifierCodeSequence"))
    regions = observed.get("AnatomicRegionSequence")
    region = _code(regions)
    region_modifier = None if region is None else _code(regions[0].get("AnatomicRegionModifierSequence"))
    return Segment(place, place, name, _color(drawn), category, kind, modifier, region, region_modifier)


def _code(items: Any) -> Code | None:
    if not items:
        return None
    value = text(items[0], "CodeValue") or text(items[0], "LongCodeValue")
    scheme, meaning = text(items[0], "CodingSchemeDesignator"), text(items[0], "CodeMeaning")
    return Code(value, scheme, meaning) if value and scheme and meaning else None


def _color(drawn: Dataset) -> tuple[int, int, int]:
    given = drawn.get("ROIDisplayColor")
    values = [int(value) for value in given] if isinstance(given, Iterable) and not isinstance(given, str) else []
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        return _GREY
    return values[0], values[1], values[2]


def _points(line: Dataset, name: str) -> Points:
    values = np.array(line.ContourData, float)
    if values.size < 9 or values.size % 3 or not np.all(np.abs(values) <= FARTHEST_MM):
        raise DamageError(f"a contour of '{name}' is not a closed line of points in a patient")
    points: Points = values.reshape(-1, 3)
    return points
