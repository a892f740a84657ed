"""The segments of a Segmentation as its Segment Sequence describes them (PS3.3 C.8.20.2)."""

from collections.abc import Sequence
from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from NativeDLLib.dicom.provenance import Algorithm, AlgorithmType
from NativeDLLib.quality.finding import Finding, sentences
from NativeDLLib.registry.entry import Code, Segment


def described(
    segments: Sequence[Segment],
    algorithm: Algorithm,
    algorithm_types: Sequence[AlgorithmType] | None,
    findings: Sequence[Finding],
    *,
    with_background: bool,
) -> list[Dataset]:
    """Items of the Segment Sequence. `algorithm_types` is None where all segments are automatic. Each segment states
    its own findings. `with_background` describes number 0 too, as in a label map.
    """
    identification = hd.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=algorithm.version,
        source=algorithm.source,
        parameters={name: value.replace("\\", "/") for name, value in algorithm.parameters.items()},
    )
    types = algorithm_types or ["AUTOMATIC"] * len(segments)
    items: list[Dataset] = [
        _describe(segment, kind_of_work, identification) for segment, kind_of_work in zip(segments, types, strict=True)
    ]
    for item in items:
        if to_check := sentences(findings, str(item.SegmentLabel)):
            item.SegmentDescription = to_check
    return [_background(items[0]), *items] if with_background else items


def _background(first: Dataset) -> Dataset:
    item = Dataset()
    item.SegmentNumber = 0
    item.SegmentLabel = "Background"
    nothing = hd.sr.CodedConcept.from_code(codes.DCM.Background)
    item.SegmentedPropertyCategoryCodeSequence = item.SegmentedPropertyTypeCodeSequence = [nothing]
    item.SegmentAlgorithmType = first.SegmentAlgorithmType
    if "SegmentAlgorithmName" in first:
        item.SegmentAlgorithmName = first.SegmentAlgorithmName
    item.RecommendedDisplayCIELabValue = list(hd.color.CIELabColor(0.0, 0.0, 0.0).value)
    return item


def _describe(
    segment: Segment, algorithm_type: str, identification: hd.AlgorithmIdentificationSequence
) -> hd.seg.SegmentDescription:
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
