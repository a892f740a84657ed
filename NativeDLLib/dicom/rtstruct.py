"""Regions of interest as an RT Structure Set (PS3.3 A.19) in the study of the series they were drawn on."""

import datetime
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from NativeDLLib.core.arrays import Points
from NativeDLLib.dicom.derived import SourceHeader, dataset_of, derived_instance
from NativeDLLib.dicom.provenance import REVIEWED, Algorithm, AlgorithmType, Review
from NativeDLLib.dicom.seg import coded
from NativeDLLib.quality.finding import Finding, titled
from NativeDLLib.registry.entry import Segment
from NativeDLLib.source import Plane
from NativeDLLib.source.series import Series

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
# The Study Component Management of old, which the standard still has here (PS3.3 C.8.8.5).
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_LONGEST_TITLE, _LONGEST_LABEL = 64, 16
# SNOMED CT, Anatomical Structure: what is no structure of the body is no ORGAN; what it is else, nobody said.
_ANATOMY = {("SCT", "123037004"), ("SCT", "91723000")}


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


def make_structure_set(
    series: Series,
    rois: Sequence[Roi],
    algorithm: Algorithm,
    review: Review | None = None,
    findings: Sequence[Finding] = (),
) -> Dataset:
    """RT Structure Set of regions of interest, a new instance of a new series, ready to be written. Patient, study and
    frame of reference are carried over, and every image with a contour is referred to. It is in Implicit VR, as Contour
    Data may be longer than the 65534 bytes that Explicit VR has room for (PS3.3 C.8.8.6). There is at least one of
    `rois`, each with a contour. `review` is that of a physician; None for an automatic result, which is UNAPPROVED. The
    descriptions tell the `findings` in brief. InputError where the source's patient or study attributes cannot be
    carried over.
    """
    if not rois or not all(roi.contours for roi in rois):
        raise ValueError("a structure set has regions of interest, and each of them contours")
    now = datetime.datetime.now()
    state = "automatic" if review is None else "approved" if review.status == REVIEWED else "not approved"
    title = titled(algorithm.title, findings, state)
    header = SourceHeader(series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = derived_instance(header, algorithm, STRUCTURE_SET, "RTSTRUCT", title, ImplicitVRLittleEndian)
        dataset.SeriesDate, dataset.SeriesTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
        dataset.OperatorsName = ""
        dataset.StructureSetLabel = algorithm.name[:_LONGEST_LABEL]
        dataset.StructureSetName = title
        dataset.StructureSetDate = now.strftime("%Y%m%d")
        dataset.StructureSetTime = now.strftime("%H%M%S")
        planes = {index: Plane.of(series, index) for index in sorted({c.slice_index for r in rois for c in r.contours})}
        dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(series, planes.values())]
        frame = series.text("FrameOfReferenceUID")
        described = f"{algorithm.name} {algorithm.version}"[:_LONGEST_TITLE]
        reviewer = "" if review is None else review.reviewer
        dataset.StructureSetROISequence = [_roi_item(roi, n, frame, described) for n, roi in enumerate(rois, 1)]
        dataset.ROIContourSequence = [_contour_item(roi, n, planes) for n, roi in enumerate(rois, 1)]
        dataset.RTROIObservationsSequence = [_observation_item(roi, n, reviewer) for n, roi in enumerate(rois, 1)]
        _approve(dataset, review)
        header.finish(dataset)
    return dataset


def _frame_of_reference(series: Series, planes: Iterable[Plane]) -> Dataset:
    """Return where the contours are: frame of reference, study, series, and every image that has one."""
    images = [_image_item(plane) for plane in planes]
    referenced = dataset_of(SeriesInstanceUID=series.uid, ContourImageSequence=images)
    uid, frame = series.text("StudyInstanceUID"), series.text("FrameOfReferenceUID")
    study = dataset_of(ReferencedSOPClassUID=_STUDY_CLASS, ReferencedSOPInstanceUID=uid)
    study.RTReferencedSeriesSequence = [referenced]
    return dataset_of(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])


def _approve(dataset: Dataset, review: Review | None) -> None:
    """Tell a physician's judgement (PS3.3 C.8.8.16); date, time and name are there only with an approval."""
    dataset.ApprovalStatus = "UNAPPROVED"
    if review is not None and review.status == REVIEWED:
        dataset.ApprovalStatus, dataset.ReviewerName = "APPROVED", review.reviewer
        dataset.ReviewDate, dataset.ReviewTime = dataset.StructureSetDate, dataset.StructureSetTime


def _roi_item(roi: Roi, number: int, frame_of_reference: str, described: str) -> Dataset:
    item = dataset_of(ROINumber=number, ROIName=roi.segment.name, ReferencedFrameOfReferenceUID=frame_of_reference)
    item.ROIGenerationAlgorithm = roi.algorithm_type
    if roi.algorithm_type != "MANUAL":
        item.ROIGenerationDescription = described
    return item


def _contour_item(roi: Roi, number: int, planes: Mapping[int, Plane]) -> Dataset:
    """Return the item of the ROI Contour Sequence; `planes` are those of the slices, by their index."""
    lines = []
    for count, contour in enumerate(roi.contours, 1):
        line = dataset_of(ContourNumber=count, ContourGeometricType="CLOSED_PLANAR")
        line.ContourImageSequence = [_image_item(planes[contour.slice_index])]
        line.NumberOfContourPoints = len(contour.points)
        # In mm to a tenth of a micrometre, as a Decimal String has 16 characters at most.
        line.ContourData = [f"{value:.4f}".rstrip("0").rstrip(".") for value in contour.points.ravel().tolist()]
        lines.append(line)
    return dataset_of(ReferencedROINumber=number, ROIDisplayColor=list(roi.segment.color), ContourSequence=lines)


def _observation_item(roi: Roi, number: int, interpreter: str) -> Dataset:
    segment = roi.segment
    item = dataset_of(ObservationNumber=number, ReferencedROINumber=number, ROIInterpreter=interpreter)
    item.ROIObservationLabel = segment.name[:_LONGEST_LABEL].strip()
    is_organ = (segment.category.scheme, segment.category.value) in _ANATOMY
    item.RTROIInterpretedType = "ORGAN" if is_organ else ""
    item.SegmentedPropertyCategoryCodeSequence = [coded(segment.category)]
    kind = coded(segment.type)
    if segment.type_modifier:
        kind.SegmentedPropertyTypeModifierCodeSequence = [coded(segment.type_modifier)]
    item.RTROIIdentificationCodeSequence = [kind]
    if segment.region:
        region = coded(segment.region)
        if segment.region_modifier:
            region.AnatomicRegionModifierSequence = [coded(segment.region_modifier)]
        item.AnatomicRegionSequence = [region]
    return item


def _image_item(plane: Plane) -> Dataset:
    item = dataset_of(ReferencedSOPClassUID=plane.sop_class_uid, ReferencedSOPInstanceUID=plane.sop_instance_uid)
    if plane.frame is not None:
        item.ReferencedFrameNumber = plane.frame
    return item
