"""Segments as a DICOM Segmentation object (PS3.3 A.51) in the study of the series it was made from."""

import warnings
from collections.abc import Sequence
from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import NativeDLError
from NativeDLLib.dicom.derived import MANUFACTURER, SourceHeader, dataset_of, derived_instance, software_versions
from NativeDLLib.dicom.provenance import Algorithm, Kind, Predecessor, Review
from NativeDLLib.dicom.seg_assembly import add_frames
from NativeDLLib.quality.finding import Finding, sentences, titled
from NativeDLLib.registry.entry import Code, Segment
from NativeDLLib.source.series import Series

SOP_CLASSES: dict[str, str] = {"BINARY": "1.2.840.10008.5.1.4.1.1.66.4", "LABELMAP": "1.2.840.10008.5.1.4.1.1.66.7"}
_SCANNER = (
    "Manufacturer ManufacturerModelName InstitutionName InstitutionalDepartmentName InstitutionAddress StationName "
    "DeviceSerialNumber SoftwareVersions"
)


class EmptySegmentationError(NativeDLError):
    """No voxel belongs to any segment; the caller decides whether that is to be stored."""


def make_segmentation(
    series: Series,
    labels: Array,
    segments: Sequence[Segment],
    algorithm: Algorithm,
    *,
    kind: Kind = "BINARY",
    allow_empty: bool = False,
    review: Review | None = None,
    findings: Sequence[Finding] = (),
    buffered: bool = False,
) -> Dataset:
    """SEG of a label map, or of masks that overlap, on the grid of its series: a new instance of a new series. Every
    instance of the series is referred to; patient, study and frame of reference are carried over. `labels` is an array
    (z, y, x) of Segment Numbers, 0 for none, one plane for each slice of the series in its order; or an array (z, y, x,
    segment) of booleans, which a LABELMAP cannot hold. `segments` are all of the model in the order of their numbers;
    those not found stay described. `kind` is BINARY, which every viewer reads, or LABELMAP (Supplement 243); `review`
    is that of a physician, None for an automatic result. The `findings` are told in brief in its descriptions, in full
    with the segment or the algorithm. `buffered` makes Pixel Data a stream of bytes that come from `labels` while they
    are written. EmptySegmentationError where nothing was found and `allow_empty`, which stores every frame empty, is
    false; InputError where the source's patient or study attributes cannot be carried over; ValueError where the label
    map is not on the series' grid or has other values.
    """
    _check(series, labels, len(segments), kind)
    if not allow_empty and not labels.any():
        found = f"{algorithm.name} found none of its {len(segments)} segments"
        raise EmptySegmentationError(f"series {series.uid}: {found}")
    title = titled(algorithm.title, findings, "" if review is None else review.status)
    creator = "NativeDL^Automatic" if review is None else review.reviewer
    header, sop_class = SourceHeader(series), SOP_CLASSES[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hd.valuerep.check_person_name(creator)
        dataset = derived_instance(header, algorithm, sop_class, "SEG", title, ExplicitVRLittleEndian)
        dataset.ContentDate, dataset.ContentTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
        dataset.ContentLabel = "SEGMENTATION"
        dataset.ContentDescription = title
        dataset.ContentCreatorName = creator
        dataset.ContributingEquipmentSequence = _equipment(header, algorithm, findings)
        dataset.SegmentationType = kind
        dataset.SegmentSequence = _described(segments, algorithm, review, findings)
        if kind == "LABELMAP":
            dataset.SegmentSequence.insert(0, _background(dataset.SegmentSequence[0]))
        add_frames(dataset, header, labels, len(segments), buffered=buffered)
        if review is not None and review.predecessor is not None:
            _refer_to(dataset, review.predecessor)
        header.finish(dataset)
    return dataset


def _equipment(header: SourceHeader, algorithm: Algorithm, findings: Sequence[Finding]) -> list[Dataset]:
    """Contributing equipment: the scanner where its header names it, the algorithm, and highdicom."""
    made_by = f"Automatic segmentation by {algorithm.title}"
    ours = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=algorithm.name,
        software_versions=software_versions(algorithm),
        device_serial_number=algorithm.serial,
        contribution_description=". ".join(filter(None, (made_by, sentences(findings, None))))[:1024],
    )
    scanner = Dataset()
    header.put(scanner, _SCANNER.split())
    if "Manufacturer" not in scanner:
        return [ours, hd.ContributingEquipment.for_highdicom()]
    scanner.PurposeOfReferenceCodeSequence = [hd.sr.CodedConcept.from_code(codes.DCM.AcquisitionEquipment)]
    scanner.ContributionDescription = "Acquisition equipment of the source image(s)"
    acquired = header.element("AcquisitionDateTime")
    if acquired is not None:
        scanner.ContributionDateTime = acquired.value
    return [scanner, ours, hd.ContributingEquipment.for_highdicom()]


def _check(series: Series, labels: Array, count: int, kind: Kind) -> None:
    columns, rows, planes = series.grid.size
    overlapping = labels.ndim == 4 and labels.dtype == bool and kind == "BINARY"
    expected = (planes, rows, columns, count) if overlapping else (planes, rows, columns)
    if labels.shape != expected:
        raise ValueError(f"label map is {labels.shape}, the series is {expected}")
    if labels.dtype.kind not in "iub":
        raise ValueError(f"label map holds {labels.dtype}, not whole numbers")
    if int(labels.max()) > count or int(labels.min()) < 0:
        raise ValueError(f"label map holds values outside 0 to {count}")


def _refer_to(dataset: Dataset, one: Predecessor) -> None:
    """Name the instance of the same study that this one was derived from (PS3.3 C.12.4 and C.12.2)."""
    instance = dataset_of(ReferencedSOPClassUID=one.sop_class_uid, ReferencedSOPInstanceUID=one.sop_instance_uid)
    dataset.SourceInstanceSequence = [instance]
    series = dataset_of(SeriesInstanceUID=one.series_uid, ReferencedInstanceSequence=[instance])
    # After the images: readers look for those first.
    dataset.ReferencedSeriesSequence.append(series)


def _described(
    segments: Sequence[Segment], algorithm: Algorithm, review: Review | None, findings: Sequence[Finding]
) -> list[Dataset]:
    """Items of the Segment Sequence (PS3.3 C.8.20.2), each of which states its own findings."""
    identification = hd.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=algorithm.version,
        source=algorithm.source,
        parameters={name: value.replace("\\", "/") for name, value in algorithm.parameters.items()},
    )
    types = (None if review is None else review.algorithm_types) or ["AUTOMATIC"] * len(segments)
    items = []
    for segment, kind in zip(segments, types, strict=True):
        items.append(_describe(segment, kind, identification))
        if to_check := sentences(findings, segment.name):
            items[-1].SegmentDescription = to_check
    return items


def _background(first: Dataset) -> Dataset:
    item = dataset_of(SegmentNumber=0, SegmentLabel="Background", SegmentAlgorithmType=first.SegmentAlgorithmType)
    nothing = hd.sr.CodedConcept.from_code(codes.DCM.Background)
    item.SegmentedPropertyCategoryCodeSequence = item.SegmentedPropertyTypeCodeSequence = [nothing]
    if "SegmentAlgorithmName" in first:
        item.SegmentAlgorithmName = first.SegmentAlgorithmName
    item.RecommendedDisplayCIELabValue = list(hd.color.CIELabColor(0.0, 0.0, 0.0).value)
    return item


def _describe(segment: Segment, algorithm_type: str, identification: Any) -> Any:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name,
        segmented_property_category=coded(segment.category),
        segmented_property_type=coded(segment.type),
        algorithm_type=algorithm_type,
        algorithm_identification=None if algorithm_type == "MANUAL" else identification,
        anatomic_regions=[coded(segment.region)] if segment.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.color),
    )
    if segment.type_modifier:
        (kind,) = description.SegmentedPropertyTypeCodeSequence
        kind.SegmentedPropertyTypeModifierCodeSequence = [coded(segment.type_modifier)]
    if segment.region_modifier:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [coded(segment.region_modifier)]
    return description


def coded(code: Code) -> Any:
    """Return a code of the registry as the item of a code sequence."""
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)
