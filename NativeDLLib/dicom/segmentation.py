"""Segments as a DICOM Segmentation object (PS3.3 A.51) in the study of the series it was made from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode
from pydicom.uid import generate_uid

from NativeDLLib import __version__
from NativeDLLib.dicom.review import Review, refer_to_predecessor
from NativeDLLib.dicom.series import Series
from NativeDLLib.dicom.source import derived_series_number, pixel_measures, source_headers
from NativeDLLib.errors import InputError, NativeDLError
from NativeDLLib.quality.finding import Finding, sentences, titled
from NativeDLLib.registry.entry import Code, Segment

Kind = Literal["BINARY", "LABELMAP"]
MANUFACTURER = "NativeDL"
SOP_CLASSES: dict[str, str] = {"BINARY": "1.2.840.10008.5.1.4.1.1.66.4", "LABELMAP": "1.2.840.10008.5.1.4.1.1.66.7"}


class EmptySegmentationError(NativeDLError):
    """No voxel belongs to any segment; the caller decides whether that is to be stored."""


@dataclass(frozen=True)
class Algorithm:
    """What made the segmentation.

    Attributes
    ----------
    name, version
        As in the registry.
    title
        For people: it becomes the series description.
    source
        Who is behind it, at most 64 characters.
    serial
        What tells this build of it from others: the start of its weights' digest.
    parameters
        The effective parameters, in words.
    """

    name: str
    version: str
    title: str
    source: str
    serial: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def make_segmentation(
    series: Series,
    labels: npt.NDArray[Any],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    *,
    kind: Kind = "BINARY",
    allow_empty: bool = False,
    review: Review | None = None,
    findings: Sequence[Finding] = (),
) -> Dataset:
    """Make a SEG from a label map, or from masks that overlap, on the grid of its series.

    Parameters
    ----------
    series
        The source. Every instance of it is referred to; patient, study and frame of reference are carried over.
    labels
        Array (z, y, x) of Segment Numbers, 0 for none, one plane for each slice of the series in its order; or array
        (z, y, x, segment) of booleans, which a LABELMAP cannot hold.
    segments
        All segments that were looked for, in the order of their numbers; those not found stay described.
    algorithm
        What made the label map.
    kind
        BINARY, which every viewer reads, or LABELMAP (Supplement 243).
    allow_empty
        Whether a label map without any segment is to be stored, with every frame empty.
    review
        What a physician made of it; None for an automatic result.
    findings
        What is to be checked about it: in brief in its descriptions, in full with the segment or the algorithm.

    Returns
    -------
    Dataset
        A new instance of a new series, ready to be written.

    Raises
    ------
    EmptySegmentationError
        Where nothing was found and `allow_empty` is false.
    InputError
        Where the source's patient or study attributes cannot be carried over.
    ValueError
        Where the label map is not on the series' grid or has other values.
    """
    dtype = np.uint8 if len(segments) <= 255 else np.uint16
    pixels = _checked(series, labels, len(segments), kind).astype(dtype)
    if not allow_empty and not labels.any():
        raise EmptySegmentationError(
            f"series {series.uid}: {algorithm.name} found none of its {len(segments)} segments"
        )
    own_text = [algorithm.title, algorithm.source, *(s.name for s in segments), *algorithm.parameters.values()]
    own_text += [finding.message for finding in findings] + ([] if review is None else [review.reviewer])
    headers, charset = source_headers(series, own_text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = _in_stored_order(series, pixels)
            return _build(series, headers, charset, pixels, segments, algorithm, kind, review, findings)
    # What is carried over is parsed only now, and pydicom lets pass whatever its parser stumbles over.
    except Exception as error:
        raise InputError(f"series {series.uid}: its header cannot be carried over to a SEG ({error})") from error


def _build(
    series: Series,
    headers: Sequence[Dataset],
    charset: str,
    labels: npt.NDArray[Any],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    kind: Kind,
    review: Review | None,
    findings: Sequence[Finding],
) -> Dataset:
    title = titled(algorithm.title, findings, "" if review is None else review.status)
    types = ["AUTOMATIC"] * len(segments) if review is None else review.algorithm_types
    made_by = f"Automatic segmentation by {algorithm.title}"
    identification = hd.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=algorithm.version,
        source=algorithm.source,
        parameters={name: value.replace("\\", "/") for name, value in algorithm.parameters.items()},
    )
    equipment = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=algorithm.name,
        software_versions=[algorithm.version, f"NativeDL {__version__}"],
        device_serial_number=algorithm.serial,
        contribution_description=". ".join(filter(None, (made_by, sentences(findings, None))))[:1024],
    )
    dataset: Dataset = hd.seg.Segmentation(
        source_images=headers,
        pixel_array=labels,
        segmentation_type=kind,
        segment_descriptions=[
            _describe(segment, kind_of_work, identification)
            for segment, kind_of_work in zip(segments, types, strict=True)
        ],
        series_instance_uid=generate_uid(),
        series_number=derived_series_number(series),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm.name,
        software_versions=[algorithm.version, f"NativeDL {__version__}"],
        device_serial_number=algorithm.serial,
        content_label="SEGMENTATION",
        content_description=title,
        content_creator_name="NativeDL^Automatic" if review is None else review.reviewer,
        series_description=title,
        pixel_measures=pixel_measures(series),
        contributing_equipment=[equipment],
        specific_character_set=charset,
    )
    for described in dataset.SegmentSequence:
        if to_check := sentences(findings, str(described.SegmentLabel)):
            described.SegmentDescription = to_check
    if review is not None and review.predecessor is not None:
        refer_to_predecessor(dataset, review.predecessor)
    return dataset


def _checked(series: Series, labels: npt.NDArray[Any], count: int, kind: Kind) -> npt.NDArray[Any]:
    columns, rows, planes = series.grid.size
    overlapping = labels.ndim == 4 and labels.dtype == bool and kind == "BINARY"
    expected = (planes, rows, columns, count) if overlapping else (planes, rows, columns)
    if labels.shape != expected:
        raise ValueError(f"label map is {labels.shape}, the series is {expected}")
    if labels.dtype.kind not in "iub":
        raise ValueError(f"label map holds {labels.dtype}, not whole numbers")
    if int(labels.max()) > count or int(labels.min()) < 0:
        raise ValueError(f"label map holds values outside 0 to {count}")
    return labels


def _describe(
    segment: Segment, algorithm_type: str, identification: hd.AlgorithmIdentificationSequence
) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name,
        segmented_property_category=_code(segment.category),
        segmented_property_type=_code(segment.type),
        algorithm_type=algorithm_type,
        algorithm_identification=None if algorithm_type == "MANUAL" else identification,
        anatomic_regions=[_code(segment.region)] if segment.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.color),
    )
    if segment.type_modifier:
        modifier = hd.sr.CodedConcept.from_code(_code(segment.type_modifier))
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    if segment.region_modifier:
        modifier = hd.sr.CodedConcept.from_code(_code(segment.region_modifier))
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [modifier]
    return description


def _code(code: Code) -> DicomCode:
    return DicomCode(code.value, code.scheme, code.meaning)


def _in_stored_order(series: Series, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the planes in the order in which the source stores them: that of the frames in a multi-frame image."""
    frames = [plane.frame for plane in series.slices]
    return labels if len(series.instances) > 1 else labels[np.argsort(frames)]
